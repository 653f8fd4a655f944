// Lists what Hugging Face's NFC composes, decomposes or moves, and code points between those that no version does.
// Made by tests/fixtures/make/nfc_table.py of tokenizers 0.22.2: do not edit.

/** Ranges of code points, hexadecimal. */
export const KNOWN: string = `
0-21f 226-233 292 2b9 300-36f 374 37e 385-38a 38c 38e-3a1 3a5-3ce 3d2-3d4 400-4c2 4d0-4f5 4f8-4f9 591-5c5 5c7 5d0-5ea
5f2 610-61a 622-627 648-6ed 711 730-74a 7eb-7f3 816-819 81b-823 825-827 829-82d 859-85b 8d4-8e1 8e3-8ff 915-934
93c-94d 951-954 958-95f 9a1-9a2 9af 9bc 9be 9c7 9cb-9cd 9d7 9dc-9dd 9df a16-a1c a2b a32-a33 a36 a38 a3c a4d a59-a5b
a5e abc acd b21-b22 b3c-b3e b47-b48 b4b-b4d b56-b57 b5c-b5d b92-b94 bbe bc6-bc7 bca-bcd bd7 c46-c48 c4d c55-c56 cbc
cbf-cc2 cc6-cc8 cca-ccd cd5-cd6 d3e d46-d47 d4a-d4d d57 dca dcf dd9-ddf e38-e3a e48-e4b eb8-eb9 ec8-ecb f18-f43
f4c-f69 f71-f87 f90-f93 f9c-fb9 fc6 1025-1026 102e 1037-103a 108d 1100-1112 1161-1175 11a8-11c2 135d-135f 1714 1734
17d2-17dd 18a9 1939-193b 1a17-1a18 1a60 1a75-1a7c 1a7f 1ab0-1abd 1b05-1b0e 1b11-1b12 1b34-1b35 1b3a-1b44 1b6b-1b73
1baa-1bab 1be6 1bf2-1bf3 1c37 1cd0-1cd2 1cd4-1ce0 1ce2-1ce8 1ced 1cf4 1cf8-1cf9 1dc0-1df5 1dfb-1e9b 1ea0-1ef9
1f00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fc4 1fc6-1fd3 1fd6-1fdb
1fdd-1fef 1ff2-1ff4 1ff6-1ffe 2000-2003 20d0-20f0 2126-212b 2190-232a 2adc-2add 2cef-2cf1 2d7f 2de0-2dff 3008-302f
3046-3094 3099-30fe 349e-4d56 4e0d-9f9c a66f a674-a67d a69e-a69f a6f0-a6f1 a806 a8c4 a8e0-a8f1 a92b-a92d a953 a9b3
a9c0 aab0 aab2-aab4 aab7-aab8 aabe-aabf aac1 aaf6 abed ac00-d7a3 f900-fa6d fa70-fad9 fb1d-fb36 fb38-fb3c fb3e
fb40-fb41 fb43-fb44 fb46-fb4e fe20-fe2f 101fd 102e0 10376-1037a 10a0d 10a0f 10a38-10a3a 10a3f 10ae5-10ae6 11046 1107f
11099-1109c 110a5 110ab 110b9-110ba 11100-11102 11127 1112e-1112f 11131-11134 11173 111c0 111ca 11235-11236
112e9-112ea 1133c 1133e 11347 1134b-1134d 11357 11366-1136c 11370-11374 11442 11446 114b0 114b9-114be 114c2-114c3
115af 115b8-115bb 115bf-115c0 1163f 116b6-116b7 1172b 11c3f 16af0-16af4 16b30-16b36 1bc9e 1d157-1d1c0 1d242-1d244
1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e8d0-1e8d6 1e944-1e94a 20122-2a600 2f800-2fa1d
`;
