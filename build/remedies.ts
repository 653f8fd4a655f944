/** What to type when a tool is missing. Pure: imports nothing, reads nothing. */

/** Tools that a build may need. */
export type Tool = "git" | "cmake" | "compiler" | "make" | "cuda" | "glslc" | "vulkan" | "hip" | "sycl" | "blas";

/** The program by which a package manager is known, in the order in which they are named. */
export const MANAGERS = ["apt", "dnf", "brew", "winget"] as const;

/** One of {@link MANAGERS}. */
export type Manager = (typeof MANAGERS)[number];

const BUILD_TOOLS = "winget install Microsoft.VisualStudio.2022.BuildTools --override " +
  '"--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"';
const VULKAN_SDK = "winget install KhronosGroup.VulkanSDK";

const COMMANDS: Readonly<Record<Tool, Partial<Record<Manager, string>> & { else?: string }>> = {
  git: {
    apt: "apt install git",
    dnf: "dnf install git",
    brew: "brew install git",
    winget: "winget install Git.Git",
  },
  cmake: {
    apt: "apt install cmake",
    dnf: "dnf install cmake",
    brew: "brew install cmake",
    winget: "winget install Kitware.CMake",
  },
  compiler: {
    apt: "apt install g++",
    dnf: "dnf install gcc-c++",
    brew: "xcode-select --install",
    winget: BUILD_TOOLS,
  },
  make: {
    apt: "apt install ninja-build",
    dnf: "dnf install ninja-build",
    brew: "brew install ninja",
    winget: BUILD_TOOLS,
  },
  cuda: {
    apt: "apt install nvidia-cuda-toolkit",
    dnf: "dnf install cuda-toolkit (from NVIDIA's repository)",
    winget: "winget install Nvidia.CUDA",
    else: "https://developer.nvidia.com/cuda-downloads",
  },
  glslc: {
    apt: "apt install glslc (Debian 13, Ubuntu 24.10 or later)",
    dnf: "dnf install glslc",
    brew: "brew install shaderc",
    winget: VULKAN_SDK,
    else: "https://vulkan.lunarg.com/sdk/home",
  },
  vulkan: {
    apt: "apt install libvulkan-dev spirv-headers glslc",
    dnf: "dnf install vulkan-loader-devel spirv-headers-devel glslc",
    brew: "brew install vulkan-headers vulkan-loader spirv-headers shaderc",
    winget: VULKAN_SDK,
    else: "https://vulkan.lunarg.com/sdk/home",
  },
  hip: { else: "https://rocm.docs.amd.com/projects/install-on-linux" },
  sycl: { else: "https://www.intel.com/content/www/us/en/developer/tools/oneapi/base-toolkit-download.html" },
  blas: {
    apt: "apt install libopenblas-dev pkg-config",
    dnf: "dnf install openblas-devel pkgconf",
    brew: "brew install openblas pkgconf",
    else: "https://www.openblas.net",
  },
};

/**
 * How to get a tool, for the package managers at hand, else for those of the platform.
 *
 * @returns Commands and addresses, such as `apt install cmake`, joined by "or".
 */
export function remedy(tool: Tool, platform: string, present: readonly Manager[]): string {
  const usual: readonly Manager[] = platform === "darwin"
    ? ["brew"]
    : platform === "win32"
    ? ["winget"]
    : ["apt", "dnf"];
  const managers = present.length > 0 ? present : usual;
  const commands = COMMANDS[tool];
  const ways = managers.map((manager) => commands[manager]).filter((way) => way !== undefined);
  if (commands.else !== undefined) ways.push(commands.else);
  return ways.join(", or ");
}
