// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Who tags stored data, and who vouches that its key never leaves it. At 0x0000000000000000000000000000000000000c04.
interface TeeWorkers {
  struct Worker { address account; bytes32 peerKey; string addresses; uint8 attestation; bytes32 measurement; uint8 modes; address candidate; bytes taggerKey; bytes32 powersHash; uint64 registeredAtBlock; uint64 expiresAtEpoch; uint8 state; uint32 groups; }
  struct Registration { bytes32 peerKey; string addresses; uint8 modes; address candidate; bytes taggerKey; bytes32 powersHash; uint8 attestation; bytes quote; bytes collateral; uint64 nonceBlock; bytes peerSignature; }
  error BadTaggerKey(string reason);
  error BadAttestation(uint8 attestation);
  error SimulatedRefused();
  error StaleNonce(uint64 nonceBlock, uint64 block);
  error DepositTooLow(uint256 needed, uint256 value);
  error GroupsLeft(uint32 groups, uint64 leavesAtEpoch);
  error NothingToVote(bytes32 quoteHash);
  event WorkerRegistered(address indexed account, bytes32 indexed peerKey, uint8 attestation);
  event AttestationSubmitted(address indexed account, bytes32 quoteHash);
  event AttestationVoted(address indexed account, address indexed member, bytes32 quoteHash, bool ok);
  event WorkerStateChanged(address indexed account, uint8 state);
  event WorkerUpdated(address indexed account);
  event MeasurementAllowed(bytes32 indexed measurement, bool allowed);
  event Credited(address indexed candidate, address indexed worker, uint256 points);
  function register(Registration calldata registration) external payable;
  function update(string calldata addresses) external;
  function renew(uint8 attestation, bytes calldata quote, bytes calldata collateral, uint64 nonceBlock) external;
  function exit() external;
  function vote(address worker, bytes32 quoteHash, bool ok, bytes32 measurement, uint64 expiresAtEpoch) external;
  function allow(bytes32 measurement) external;
  function disallow(bytes32 measurement) external;
  function workerOf(address account) external view returns (Worker memory);
  function workerByPeerKey(bytes32 peerKey) external view returns (Worker memory);
  function workerCount() external view returns (uint256);
  function workers(uint256 offset, uint256 limit) external view returns (Worker[] memory);
  function isAllowed(bytes32 measurement) external view returns (bool);
  function allowsSimulated() external view returns (bool);
  function pendingOf(address account) external view returns (bytes32 quoteHash, uint8 attestation, uint64 sinceEpoch);
  function creditOf(address candidate, uint64 era) external view returns (uint256);
}

TeeWorkers constant TEE_WORKERS = TeeWorkers(0x0000000000000000000000000000000000000C04);
