// Gives every room the status codes, and the other numbers that cross the boundary under a name.
//
// abi.h is not in this folder: the build writes it beside this file from the lists of ffi/symbols.ts, so that C++ and
// TypeScript cannot disagree. A status below -99 is what a job came to, above that it is why one was refused.
#pragma once
#include "abi.h"
