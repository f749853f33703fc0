// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice OpenZeppelin's token as it is, given to a list of holders.
contract Token is ERC20 {
    constructor(address[] memory holders, uint256 each) ERC20("Token", "TOK") {
        for (uint256 i = 0; i < holders.length; i++) {
            _mint(holders[i], each);
        }
    }
}

/// @notice Slots in a row, written and read: state of any size, and blocks that touch as much of it as gas buys.
contract Cells {
    function write(uint256 from, uint256 count, uint256 value) external {
        for (uint256 slot = from; slot < from + count; slot++) {
            assembly {
                sstore(slot, value)
            }
        }
    }

    function read(uint256 from, uint256 count) external view returns (uint256 sum) {
        for (uint256 slot = from; slot < from + count; slot++) {
            assembly {
                sum := add(sum, sload(slot))
            }
        }
    }
}
