// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Filled by the constructor; the slots it leaves are in layout.json (solc 0.8.30, run in @ethereumjs/evm).
contract Layout {
  struct Pair { address who; uint8 kind; uint32 count; uint64 size; string name; uint256 total; }
  uint32 a = 0xa1a2a3a4;
  uint64 b = 0xb1b2b3b4b5b6b7b8;
  bool c = true;
  address d = 0x1111111111111111111111111111111111111111;
  uint256 e = 0xe1;
  uint8 f = 0xf1;
  mapping(address => uint64) g;
  uint8 h = 0x81;
  string exactlyOneSlot = "thirty-one bytes are kept inside";
  string tiny = "cumulus";
  string edge = "0123456789012345678901234567890";
  string longText = "a text that is longer than one slot and even a good deal longer than two of them together";
  bytes blob = hex"00ff10";
  uint256[] words;
  uint32[] packed;
  uint64[] quarters;
  address[] people;
  mapping(uint256 => mapping(address => Pair)) pairs;
  mapping(bytes32 => uint32[]) lists;
  Pair[] all;
  uint16 last = 0x1a57;
  mapping(bool => bytes32) flags;

  constructor() {
    g[0x2222222222222222222222222222222222222222] = 7;
    words.push(5); words.push(6);
    for (uint32 i = 1; i <= 11; i++) packed.push(i);
    for (uint64 i = 1; i <= 5; i++) quarters.push(i);
    people.push(0x3333333333333333333333333333333333333333);
    pairs[9][0x4444444444444444444444444444444444444444] = Pair(0x5555555555555555555555555555555555555555, 3, 77, 1 << 40, "pair", 99);
    lists[bytes32(uint256(0xabc))].push(1); lists[bytes32(uint256(0xabc))].push(2);
    flags[true] = bytes32(uint256(0xdef));
  }
}
