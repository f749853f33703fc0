// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice The committee that orders and certifies chain blocks. At 0x0000000000000000000000000000000000000c02.
interface R2S {
  struct Member { address account; bytes32 peerKey; bytes blsKey; string addresses; }
  function committee() external view returns (Member[] memory);
  function isMember(address account) external view returns (bool);
  function quorum() external view returns (uint256);
  function coin() external view returns (uint8 mode, bytes memory publicKey);
}

R2S constant R2_S = R2S(0x0000000000000000000000000000000000000c02);
