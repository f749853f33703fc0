// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Who serves clients, and what owners of territories let them do. At 0x0000000000000000000000000000000000000c06.
interface Gateways {
  struct Gateway { address account; bytes32 peerKey; string addresses; string endpoint; uint64 registeredAtBlock; }
  struct Grant { uint64 quotaBytes; uint64 usedBytes; uint64 expiresAtBlock; }
  event GatewayRegistered(address indexed account, bytes32 indexed peerKey, string addresses, string endpoint);
  event GatewayUpdated(address indexed account, string addresses, string endpoint);
  event GatewayRemoved(address indexed account);
  event Granted(uint256 indexed territory, address indexed gateway, uint64 quotaBytes, uint64 expiresAtBlock);
  event Revoked(uint256 indexed territory, address indexed gateway);
  function register(bytes32 peerKey, string calldata addresses, string calldata endpoint, bytes calldata peerSignature) external;
  function update(string calldata addresses, string calldata endpoint) external;
  function remove() external;
  function gatewayOf(address account) external view returns (Gateway memory);
  function gatewayByPeerKey(bytes32 peerKey) external view returns (Gateway memory);
  function gatewayCount() external view returns (uint256);
  function gateways(uint256 offset, uint256 limit) external view returns (Gateway[] memory);
  function grant(uint256 territory, address gateway, uint64 quotaBytes, uint64 expiresAtBlock) external;
  function revoke(uint256 territory, address gateway) external;
  function grantBySignature(uint256 territory, address gateway, uint64 quotaBytes, uint64 expiresAtBlock, uint256 nonce, uint64 deadlineBlock, bytes calldata signature) external;
  function grantNonceOf(address owner) external view returns (uint256);
  function grantOf(uint256 territory, address gateway) external view returns (Grant memory);
  function mayUse(uint256 territory, address gateway) external view returns (bool);
}

Gateways constant GATEWAYS = Gateways(0x0000000000000000000000000000000000000C06);
