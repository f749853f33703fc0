// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Issues tokens by a fixed schedule, divides them and the rent of territories, and keeps count of all tokens. At 0x0000000000000000000000000000000000000c0a.
interface Treasury {
  struct Supply { uint256 cap; uint256 genesis; uint256 issued; uint256 burnt; uint256 current; }
  struct Pot { uint256 held; uint256 received; uint256 paid; }
  event EraIssued(uint64 indexed era, uint256 amount, uint256 toValidators, uint256 toMiners, uint256 toCommunity);
  event RentDivided(uint64 indexed era, uint256 toMiners, uint256 toCommunity, uint256 burnt);
  event Paid(uint8 indexed pot, address indexed to, uint256 amount);
  function spend(address to, uint256 amount) external;
  function received() external view returns (uint256);
  function supply() external view returns (Supply memory);
  function burnt() external view returns (uint256 rent, uint256 fees);
  function issuedOf(uint64 era) external view returns (uint256);
  function nextEra() external view returns (uint64);
  function potOf(uint8 kind) external view returns (Pot memory);
  function eraPotOf(uint8 kind, uint64 era) external view returns (uint256);
}

Treasury constant TREASURY = Treasury(0x0000000000000000000000000000000000000C0a);
