/** Writes abi.h: the numbers of ffi/symbols.ts under the same names for C++. */
import { type ListName, NAMES } from "../ffi/symbols.ts";

/** The C++ enum of each list, and what its enumerators begin with. */
const ENUMS: Readonly<Record<ListName, readonly [name: string, prefix: string]>> = {
  MODEL_OPTIONS: ["ModelOption", "MODEL"],
  CONTEXT_OPTIONS: ["ContextOption", "CONTEXT"],
  CONTEXT_MEMORY: ["ContextMemory", "MEMORY"],
  MODEL_INFO: ["ModelInfo", "INFO"],
  POOLING: ["Pooling", "POOLING"],
  CAUSAL_BY: ["CausalBy", "CAUSAL_BY"],
  SPECIAL: ["Special", "SPECIAL"],
  LOG_LEVEL: ["LogLevel", "LOG"],
  STATUS: ["saur_status", "SAUR"],
};

/** The text of abi.h. After the names of an ordered list comes the list's own, which is how many they are. */
export function abiHeader(): string {
  const enums = Object.entries(NAMES).map(([list, names]) => {
    const [name, prefix] = ENUMS[list as ListName];
    const enumerators = Array.isArray(names)
      ? [...names.map((one: string, i: number) => `${prefix}_${constant(one)} = ${i}`), `${list} = ${names.length}`]
      : Object.entries(names).map(([one, value]) => `${prefix}_${constant(one)} = ${value}`);
    const code = `enum ${name} : int32_t {\n${enumerators.map((one) => `    ${one},\n`).join("")}};\n`;
    return list === "STATUS" ? code : `namespace saur {\n${code}}\n`;
  });
  return `// Written by build/abi.ts from ffi/symbols.ts, which says what each name means.\n` +
    `#pragma once\n#include <cstdint>\n\n${enums.join("\n")}`;
}

/** `gpuLayers` as `GPU_LAYERS`; a name in capitals stays. */
function constant(name: string): string {
  return /[a-z]/.test(name) ? name.replace(/[A-Z]/g, "_$&").toUpperCase() : name;
}
