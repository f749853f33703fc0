// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Territories} from "@cumulus/contracts/interfaces/Territories.sol";
import {Storage} from "@cumulus/contracts/interfaces/Storage.sol";

/// A contract that owns rented space and lets its keeper fill it.
contract Archive {
    Territories constant TERRITORIES = Territories(0x0000000000000000000000000000000000000C05);
    Storage constant STORAGE = Storage(0x0000000000000000000000000000000000000C07);

    address public immutable keeper;
    uint256 public territory;

    event Rented(uint256 indexed territory, uint256 paid);
    event Reserved(uint256 indexed reservation, uint32 group, uint32 stripes);

    error NotTheKeeper(address caller);

    constructor(address keeper_) {
        keeper = keeper_;
    }

    /// Whoever pays: the archive is the owner.
    function rent(uint64 capacityBytes, uint32 epochs) external payable {
        uint256 price = TERRITORIES.price(capacityBytes, epochs);
        territory = TERRITORIES.mint{value: price}("archive", capacityBytes, epochs, address(this));
        require(TERRITORIES.ownerOf(territory) == address(this), "not ours");
        emit Rented(territory, price);
        (bool ok, ) = msg.sender.call{value: address(this).balance}("");
        require(ok, "no change given");
    }

    function reserve(uint8 classId, uint32 stripes) external returns (uint256 reservation) {
        if (msg.sender != keeper) revert NotTheKeeper(msg.sender);
        reservation = STORAGE.reserve(territory, classId, stripes);
        emit Reserved(reservation, STORAGE.reservationOf(reservation).group, stripes);
    }

    /// A module refuses a call that would write under STATICCALL, and leaves the caller its gas.
    function reserveStatically() external view returns (bool ok, bytes memory data) {
        return address(STORAGE).staticcall(abi.encodeCall(Storage.reserve, (territory, 2, 1)));
    }

    receive() external payable {}
}
