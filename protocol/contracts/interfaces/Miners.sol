// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Who stores: accounts, peer keys, stake, and every unit of declared space. At 0x0000000000000000000000000000000000000c03.
interface Miners {
  struct Miner { address account; bytes32 peerKey; address beneficiary; string addresses; string region; uint8 state; uint32 declaredUnits; uint32 idleUnits; uint32 lockedUnits; uint32 serviceUnits; uint256 stake; uint64 registeredAtBlock; uint32 taggedUnits; uint8 cause; uint256 collateralLimit; uint256 debt; }
  error StakeTooLow(uint256 neededStake, uint256 stake);
  error UnitsInUse(uint32 lockedUnits, uint32 serviceUnits);
  error InDebt(uint256 debt);
  event MinerRegistered(address indexed account, bytes32 indexed peerKey, uint32 declaredUnits);
  event MinerUpdated(address indexed account);
  event MinerStateChanged(address indexed account, uint8 state);
  event DebtPaid(address indexed account, uint256 amount, uint256 debt);
  function register(bytes32 peerKey, string calldata addresses, address beneficiary, uint32 declaredUnits, string calldata region, bytes calldata peerSignature) external payable;
  function update(string calldata addresses, string calldata region) external;
  function setBeneficiary(address beneficiary) external;
  function declareUnits(uint32 declaredUnits) external payable;
  function topUp() external payable;
  function exit() external;
  function minerOf(address account) external view returns (Miner memory);
  function minerByPeerKey(bytes32 peerKey) external view returns (Miner memory);
  function minerCount() external view returns (uint256);
  function miners(uint256 offset, uint256 limit) external view returns (Miner[] memory);
}

Miners constant MINERS = Miners(0x0000000000000000000000000000000000000c03);
