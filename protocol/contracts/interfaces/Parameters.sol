// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice The numbers that governance may change, each within its bounds. At 0x0000000000000000000000000000000000000c0b.
interface Parameters {
  struct Parameter { string name; string about; uint256 value; uint256 min; uint256 max; uint256 next; uint64 nextEra; }
  event ParameterChanged(bytes32 indexed key, string name, uint256 value, uint64 fromEra);
  function set(string calldata name, uint256 value) external;
  function valueOf(string calldata name) external view returns (uint256);
  function parameterCount() external view returns (uint256);
  function parameters(uint256 offset, uint256 limit) external view returns (Parameter[] memory);
}

Parameters constant PARAMETERS = Parameters(0x0000000000000000000000000000000000000c0b);
