# CMake's toolchain file: zig (PyPI: ziglang) as the C and C++ compiler of another platform.
#
# Variables of the environment, since CMake reads this file again in each of its own small tests, which know no -D:
#   SAUR_ZIG         the program
#   SAUR_ZIG_TARGET  x86_64-linux-gnu.2.17 and the like
#   SAUR_ZIG_TOOLS   a folder for two small programs
foreach(name SAUR_ZIG SAUR_ZIG_TARGET SAUR_ZIG_TOOLS)
  if(NOT DEFINED ENV{${name}})
    message(FATAL_ERROR "${name} is missing in the environment: run deno task prebuilt")
  endif()
endforeach()
string(REGEX MATCH "^([^-]+)-([a-z]+)" _ "$ENV{SAUR_ZIG_TARGET}")
set(CMAKE_SYSTEM_PROCESSOR "${CMAKE_MATCH_1}")
set(systems_linux Linux)
set(systems_windows Windows)
set(systems_macos Darwin)
set(system "${CMAKE_MATCH_2}")
set(CMAKE_SYSTEM_NAME "${systems_${system}}")
set(CMAKE_C_COMPILER "$ENV{SAUR_ZIG}" cc -target "$ENV{SAUR_ZIG_TARGET}")
set(CMAKE_CXX_COMPILER "$ENV{SAUR_ZIG}" c++ -target "$ENV{SAUR_ZIG_TARGET}")
# CMake wants a single program for each of these
foreach(tool ar ranlib)
  set(file "$ENV{SAUR_ZIG_TOOLS}/zig-${tool}")
  if(NOT EXISTS "${file}")
    file(WRITE "${file}" "#!/bin/sh\nexec \"$SAUR_ZIG\" ${tool} \"$@\"\n")
    file(CHMOD "${file}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  endif()
  string(TOUPPER ${tool} name)
  set(CMAKE_${name} "${file}" CACHE FILEPATH "")
endforeach()
if(system STREQUAL "macos")
  # CMake insists on it, and only an install step would call it
  find_program(CMAKE_INSTALL_NAME_TOOL NAMES llvm-install-name-tool install_name_tool true)
endif()
# zig lets C and C++ trap on undefined behaviour unless it is told not to; other compilers' releases do not
set(CMAKE_C_FLAGS_INIT "-fno-sanitize=undefined")
set(CMAKE_CXX_FLAGS_INIT "-fno-sanitize=undefined")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
