# Somebody else's llama.cpp (build --llama DIR) in the place of the one that is compiled: SAUR_PREBUILT lists its libllama,
# libggml and libggml-base. Only headers are taken from the source tree. For a package (SAUR_SHIPPED) SAUR_PREBUILT lists
# stand-ins, which name the files that the library finds beside it on its user's machine (packages/shim.ts).
foreach(part MAJOR MINOR PATCH)
  file(STRINGS "${LLAMA_CPP_DIR}/CMakeLists.txt" line REGEX "^set\\(LLAMA_VERSION_${part} ")
  string(REGEX MATCH "[0-9]+" number "${line}")
  list(APPEND SAUR_LLAMA_VERSION "${number}")
endforeach()
list(JOIN SAUR_LLAMA_VERSION "." SAUR_LLAMA_VERSION)

set(headers "${LLAMA_CPP_DIR}/include" "${LLAMA_CPP_DIR}/ggml/include")
if(NOT SAUR_SHIPPED)
  # A libllama of another version may have other structs: found out now, and again whenever the library is opened.
  file(WRITE "${CMAKE_BINARY_DIR}/version.c"
    "#include <stdio.h>\n#include \"llama.h\"\nint main(void) { return puts(llama_version()) < 0; }\n")
  try_run(code compiled "${CMAKE_BINARY_DIR}/version" "${CMAKE_BINARY_DIR}/version.c"
    CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${headers}"
    LINK_LIBRARIES ${SAUR_PREBUILT}
    COMPILE_OUTPUT_VARIABLE words
    RUN_OUTPUT_VARIABLE version)
  list(GET SAUR_PREBUILT 0 libllama)
  if(NOT compiled)
    message(FATAL_ERROR "${libllama} has no llama_version(), or cannot be linked with:\n${words}")
  endif()
  string(STRIP "${version}" version)
  # llama.cpp calls every build "-dev" that was not told otherwise, releases too
  if(NOT version MATCHES "^${SAUR_LLAMA_VERSION}(-dev)?$")
    message(FATAL_ERROR "${libllama} is llama.cpp \"${version}\", and ${SAUR_LLAMA_VERSION} is needed")
  endif()
endif()

add_library(llama INTERFACE)
target_include_directories(llama INTERFACE ${headers})
target_link_libraries(llama INTERFACE ${SAUR_PREBUILT})
add_compile_definitions(SAUR_PREBUILT LLAMA_SHARED GGML_SHARED GGML_BACKEND_SHARED)

# It stays where it is: GPU backends are hundreds of MB, package managers keep their own up to date, and the versions
# are compared whenever the library is opened. The library's own directory comes first, for who moves all into one.
if(NOT SAUR_SHIPPED)
  list(TRANSFORM SAUR_PREBUILT REPLACE "/[^/]*$" "" OUTPUT_VARIABLE directories)
  list(REMOVE_DUPLICATES directories)
endif()
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
if(APPLE)
  set(CMAKE_INSTALL_RPATH "@loader_path;${directories}")
else()
  set(CMAKE_INSTALL_RPATH "$ORIGIN;${directories}")
endif()
