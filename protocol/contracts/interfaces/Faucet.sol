// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Gives tokens away on development networks. At 0x0000000000000000000000000000000000000c0f.
interface Faucet {
  event Claimed(address indexed to, uint256 amount);
  function claim(address to) external returns (uint256 amount);
}

Faucet constant FAUCET = Faucet(0x0000000000000000000000000000000000000c0F);
