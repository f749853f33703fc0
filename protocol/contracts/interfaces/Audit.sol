// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Challenges miners to prove what they store, pays those that do, and punishes those that do not. At 0x0000000000000000000000000000000000000c08.
interface Audit {
  struct Challenge { address miner; address worker; bytes32 seed; bytes32 entriesDigest; uint32 entryCount; uint64 issuedAtBlock; uint64 deadlineMs; uint64 epoch; uint8 state; }
  error NotChallenged(uint8 state);
  error TooLate(uint64 deadlineMs);
  error OtherChallenge(bytes32 seed);
  error WrongEntries(bytes32 expectedDigest);
  error NotReleased(uint32 entry);
  error BadProof(uint32 length);
  error NothingToClaim();
  event TagsConfirmed(uint32 indexed group, uint8 indexed seat, address indexed miner, uint32 count);
  event LossReported(uint32 indexed group, uint8 indexed seat, address indexed miner, uint32 firstStripe, uint256 stripes);
  event Challenged(address indexed miner, address indexed worker, uint64 indexed epoch, bytes32 seed, bytes entries, uint64 deadlineMs);
  event ProofPassed(address indexed miner, uint64 indexed epoch);
  event ProofFailed(address indexed miner, uint64 indexed epoch, uint8 code);
  event ProofMissed(address indexed miner, uint64 indexed epoch);
  event ChallengeVoided(address indexed miner, uint64 indexed epoch);
  event Penalised(address indexed miner, uint64 indexed epoch, uint256 amount, uint8 cause);
  event Rewarded(address indexed miner, uint64 indexed era, uint256 nowAmount, uint256 lockedAmount);
  event RewardClaimed(address indexed miner, address indexed to, uint256 amount);
  function confirmTags(uint32 group, uint32 firstStripe, uint256 stripes, address tagger) external;
  function reportLoss(uint32 group, uint32 firstStripe, uint256 stripes) external;
  function submitProof(bytes32 seed, bytes calldata entries, uint256 dropped, bytes calldata proof) external;
  function claim() external returns (uint256 amount);
  function challengeOf(address miner) external view returns (Challenge memory);
  function taggedOf(uint32 group, uint8 seat, uint32 firstStripe) external view returns (uint256);
  function recordOf(address miner) external view returns (uint32 failedInRow, uint32 missedInRow, uint32 passed, uint32 failed, uint32 missed, uint64 lastPassedEpoch);
  function rewardsOf(address miner) external view returns (uint256 claimable, uint256 locked, uint256 paid);
  function powerOf(address miner) external view returns (uint256);
  function eraPointsOf(uint64 era) external view returns (uint256);
}

Audit constant AUDIT = Audit(0x0000000000000000000000000000000000000c08);
