// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Costs as much as it is told to.
contract Burner {
    uint256 public total;

    event Burnt(uint256 rounds);

    function burn(uint256 rounds) external returns (uint256 sum) {
        for (uint256 i = 0; i < rounds; i++) sum = uint256(keccak256(abi.encode(sum, i)));
        total += 1;
        emit Burnt(rounds);
    }

    function forever() external pure {
        while (true) {}
    }
}
