// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Placement groups and their stripes, files and bucket anchors. At 0x0000000000000000000000000000000000000c07.
interface Storage {
  struct Class { uint8 id; string name; uint8 dataCount; uint8 seatCount; uint8 writeQuorum; uint8 codec; uint32 fragmentBytes; }
  struct Group { uint32 id; uint8 classId; uint32 version; uint32 stripeCount; bool open; address[] members; bytes32[] peerKeys; address tagger; uint8 taggerAttestation; }
  struct Reservation { uint256 id; uint256 territory; address gateway; uint32 group; uint32 firstStripe; uint32 stripeCount; uint32 committedCount; uint64 expiresAtEpoch; bool closed; }
  struct Stripe { bytes32 root; uint256 territory; uint256 reservation; address gateway; uint8 state; }
  struct StripeCommit { uint32 stripe; bytes32 root; uint256 seats; bytes signatures; }
  error NoRoom(uint32 neededMiners, uint32 foundMiners, uint32 stripes);
  error OverCapacity(uint64 neededBytes, uint64 freeBytes, uint256 priceToExpand);
  error OverQuota(uint64 neededBytes, uint64 freeBytes);
  error BelowQuorum(uint32 stripe, uint8 neededSeats, uint8 seats);
  error BadReceipt(uint32 stripe, uint8 seat);
  error RootTaken(uint32 stripe, bytes32 root);
  event TaggerAssigned(uint32 indexed group, address indexed tagger, uint8 attestation);
  event SeatVacated(uint32 indexed group, uint8 indexed seat, address indexed miner);
  event GroupOpened(uint32 indexed group, uint8 classId, address[] members);
  event Reserved(uint256 indexed reservation, uint256 indexed territory, address indexed gateway, uint32 group, uint32 firstStripe, uint32 stripeCount);
  event Committed(uint32 indexed group, uint32 indexed stripe, uint256 indexed territory, bytes32 root, uint256 seats);
  event Released(uint32 indexed group, uint32 indexed stripe, uint256 indexed territory);
  event FileDeclared(bytes32 indexed fid, uint256 indexed territory, uint64 size);
  event FileTransferred(bytes32 indexed fid, uint256 indexed territory);
  event BucketAnchored(uint256 indexed territory, bytes32 indexed bucket, bytes32 indexRoot);
  function classOf(uint8 id) external view returns (Class memory);
  function reserve(uint256 territory, uint8 classId, uint32 stripes) external returns (uint256 reservation);
  function commit(uint256 reservation, StripeCommit[] calldata stripes) external;
  function release(uint32 group, uint32[] calldata stripes) external;
  function expire(uint256 reservation) external;
  function groupCount() external view returns (uint32);
  function groupOf(uint32 id) external view returns (Group memory);
  function stripeOf(uint32 group, uint32 stripe) external view returns (Stripe memory);
  function stripesOf(uint32 group, uint32 first, uint32 count) external view returns (Stripe[] memory);
  function reservationOf(uint256 id) external view returns (Reservation memory);
  function reservationsOf(uint256 territory, uint256 offset, uint256 limit) external view returns (Reservation[] memory);
  function declareFile(bytes32 fid, bytes32 manifestRoot, uint64 size, uint256 territory) external;
  function transferFile(bytes32 fid, uint256 territory) external;
  function fileOf(bytes32 fid) external view returns (address owner, uint256 territory, uint64 size, bytes32 manifestRoot);
  function anchorBucket(uint256 territory, bytes32 bucket, bytes32 indexRoot, uint64 objects, uint64 bytes_) external;
  function anchorOf(uint256 territory, bytes32 bucket) external view returns (bytes32 indexRoot, uint64 objects, uint64 bytes_, uint64 atBlock);
  function vacantSeats(uint256 offset, uint256 limit) external view returns (uint32[] memory groups, uint8[] memory seats);
  function untaggedGroupCount() external view returns (uint256);
}

Storage constant STORAGE = Storage(0x0000000000000000000000000000000000000C07);
