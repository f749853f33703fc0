// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FAUCET} from "../../interfaces/Faucet.sol";
import {STORAGE} from "../../interfaces/Storage.sol";
import {TERRITORIES} from "../../interfaces/Territories.sol";


/// @notice A contract that rents space and has stripes reserved in it.
contract Landlord {
    uint256 public territory;
    uint256 public received;

    receive() external payable {
        received += msg.value;
    }

    function rent(string calldata name, uint64 capacityBytes, uint32 epochs) external payable {
        territory = TERRITORIES.mint{value: msg.value}(name, capacityBytes, epochs, address(this));
    }

    function reserve(uint32 stripes) external returns (uint256) {
        return STORAGE.reserve(territory, 1, stripes);
    }

    function reserveButStop(uint32 stripes) external {
        STORAGE.reserve(territory, 1, stripes);
        revert("stopped");
    }

    /// @notice The second reservation may fail; the first stays.
    function reserveTwice(uint32 first, uint32 second) external returns (bool ok, bytes memory why) {
        STORAGE.reserve(territory, 1, first);
        try this.reserve(second) returns (uint256) {
            ok = true;
        } catch (bytes memory reason) {
            why = reason;
        }
    }

    function letGatewayWork(address gateway, bytes calldata call) external {
        (bool ok, bytes memory why) = gateway.call(call);
        require(ok, string(why));
    }

    function give(address to) external {
        TERRITORIES.transferFrom(address(this), to, territory);
    }
}

/// @notice Calls a module in every way the EVM has.
contract Callers {
    event Seen(bool ok, uint256 gasLeft);
    event Gave(bool ok, uint256 gasBefore, uint256 gasLeft);

    uint256 public slot0 = 7;

    receive() external payable {
        // Whoever pays this contract and runs its code finds it back in the module.
        FAUCET.claim(address(0xdead));
    }

    function byCall(address target, uint256 value, bytes calldata data) external payable returns (bool, bytes memory) {
        return target.call{value: value}(data);
    }

    function byStatic(address target, bytes calldata data) external view returns (bool, bytes memory) {
        return target.staticcall(data);
    }

    function byDelegate(address target, bytes calldata data) external payable returns (bool, bytes memory) {
        return target.delegatecall(data);
    }

    function byCallcode(address target, uint256 value, bytes memory data) external payable returns (bool ok, bytes memory out) {
        assembly {
            ok := callcode(gas(), target, value, add(data, 32), mload(data), 0, 0)
            out := mload(0x40)
            mstore(out, returndatasize())
            returndatacopy(add(out, 32), 0, returndatasize())
            mstore(0x40, add(add(out, 32), and(add(returndatasize(), 31), not(31))))
        }
    }

    /// @notice A static frame above an ordinary call: nothing may be written either.
    function staticThenCall(address target, bytes calldata data) external view returns (bool ok, bytes memory out) {
        (ok, out) = address(this).staticcall(abi.encodeCall(this.byCall, (target, 0, data)));
        require(ok, "the inner frame itself does not fail");
        return abi.decode(out, (bool, bytes));
    }

    /// @notice The same way through two contracts: a delegate of this contract calls the module, as this contract.
    function delegateThenCall(address target, bytes calldata data) external returns (bool ok, bytes memory out) {
        (ok, out) = address(this).delegatecall(abi.encodeCall(this.byCall, (target, 0, data)));
        require(ok, "the inner frame itself does not fail");
        return abi.decode(out, (bool, bytes));
    }

    function withGas(address target, uint256 gas_, bytes calldata data) external returns (bool ok) {
        (ok, ) = target.call{gas: gas_}(data);
        emit Seen(ok, gasleft());
    }

    /// @notice Gives all it has: a 64th stays here by the rules of the EVM.
    function withAllGas(address target, bytes calldata data) external returns (bool ok) {
        uint256 before = gasleft();
        (ok, ) = target.call(data);
        uint256 left = gasleft();
        emit Gave(ok, before, left);
    }

    function thenRevert(address target, bytes calldata data) external {
        (bool ok, ) = target.call(data);
        require(ok, "refused");
        revert("in the middle");
    }

    function tryThenRevert(address target, bytes calldata data) external returns (bool reverted) {
        try this.thenRevert(target, data) {} catch Error(string memory reason) {
            reverted = keccak256(bytes(reason)) == keccak256("in the middle");
        }
    }

    function create(address target, bytes calldata data) external returns (address) {
        return address(new CallsInConstructor(target, data));
    }
}

contract CallsInConstructor {
    constructor(address target, bytes memory data) {
        (bool ok, ) = target.call(data);
        require(ok, "refused");
    }
}
