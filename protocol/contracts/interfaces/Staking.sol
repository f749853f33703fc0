// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Stake of candidates and of those who back them, rewards by era, punishment. At 0x0000000000000000000000000000000000000c01.
interface Staking {
  struct Candidate { address account; bytes32 peerKey; bytes blsKey; uint64 keysSinceEra; uint8 state; uint16 commissionPermille; uint64 jailedUntilEra; uint256 ownStake; uint256 backing; uint32 unpaidEras; }
  struct Position { address candidate; uint256 stake; uint256 reward; }
  struct Unbonding { address candidate; uint256 amount; uint64 withdrawableEra; }
  error StakeTooLow(uint256 neededStake, uint256 stake);
  event KeysSet(address indexed candidate, bytes32 indexed peerKey, bytes blsKey);
  event Standing(address indexed candidate, uint16 commissionPermille);
  event Chilled(address indexed candidate);
  event Bonded(address indexed holder, address indexed candidate, uint256 amount);
  event Unbonded(address indexed holder, address indexed candidate, uint256 amount, uint64 withdrawableEra);
  event Withdrawn(address indexed holder, uint256 amount);
  event PaidOut(address indexed candidate, uint64 indexed era, uint256 amount, uint256 commission);
  event Claimed(address indexed holder, address indexed candidate, address to, uint256 amount);
  event Slashed(address indexed candidate, uint64 indexed era, uint32 ppm, uint256 amount);
  event Jailed(address indexed candidate, uint64 untilEra);
  function setKeys(bytes32 peerKey, bytes calldata blsKey, bytes calldata blsProof, bytes calldata peerSignature) external;
  function bond(address candidate) external payable;
  function nominate(address[] calldata candidates) external payable;
  function unbond(address candidate, uint256 amount) external;
  function withdraw() external returns (uint256 amount);
  function validate(uint16 commissionPermille) external;
  function chill() external;
  function payout(address candidate) external returns (bool done);
  function claim(address candidate, address to) external returns (uint256 amount);
  function candidateOf(address account) external view returns (Candidate memory);
  function candidateByPeerKey(bytes32 peerKey) external view returns (Candidate memory);
  function candidateCount() external view returns (uint256);
  function candidates(uint256 offset, uint256 limit) external view returns (Candidate[] memory);
  function stakeOf(address holder, address candidate) external view returns (uint256);
  function positionsOf(address holder) external view returns (Position[] memory);
  function unbondingOf(address holder) external view returns (Unbonding[] memory);
  function totals() external view returns (uint256 staked, uint256 unbonding, uint256 rewards);
  function pointsOf(uint64 era, address member) external view returns (uint64 points, uint64 total);
  function slashedPpmOf(uint64 era, address candidate) external view returns (uint32);
}

Staking constant STAKING = Staking(0x0000000000000000000000000000000000000C01);
