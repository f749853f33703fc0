// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IPaymaster} from "@account-abstraction/contracts/interfaces/IPaymaster.sol";
import {IEntryPoint} from "@account-abstraction/contracts/interfaces/IEntryPoint.sol";
import {PackedUserOperation} from "@account-abstraction/contracts/interfaces/PackedUserOperation.sol";
import {UserOperationLib} from "@account-abstraction/contracts/core/UserOperationLib.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {WrappedCumulus} from "./WrappedCumulus.sol";

/// @title Pays the gas of accounts that hold wrapped tokens and nothing else.
/// @notice One wrapped token is one token, so no price is needed, and nobody owns it: what it has paid it takes in
/// wrapped tokens, and `refill` turns those into its deposit again. Somebody must lend it the first deposit.
/// An account approves it once; the most its operation can cost is taken before, what is left is given back after.
contract WrappedTokenPaymaster is IPaymaster {
    using SafeERC20 for IERC20;
    using UserOperationLib for PackedUserOperation;

    IEntryPoint public immutable entryPoint;
    WrappedCumulus public immutable token;

    /// @notice Gas of giving back, which the entry point does not know when it calls: paid by the account too.
    uint256 public constant POST_OP_GAS = 40_000;

    error NotEntryPoint(address caller);

    constructor(IEntryPoint entryPoint_, WrappedCumulus token_) {
        entryPoint = entryPoint_;
        token = token_;
    }

    receive() external payable {}

    /// @notice Turns what has been taken into deposit. Anybody may.
    function refill() external {
        token.withdraw(token.balanceOf(address(this)));
        entryPoint.depositTo{value: address(this).balance}(address(this));
    }

    function validatePaymasterUserOp(
        PackedUserOperation calldata op,
        bytes32,
        uint256 maxCost
    ) external override returns (bytes memory context, uint256 validationData) {
        _onlyEntryPoint();
        uint256 taken = maxCost + POST_OP_GAS * op.unpackMaxFeePerGas();
        IERC20(address(token)).safeTransferFrom(op.sender, address(this), taken);
        return (abi.encode(op.sender, taken), 0);
    }

    function postOp(
        PostOpMode,
        bytes calldata context,
        uint256 actualGasCost,
        uint256 actualUserOpFeePerGas
    ) external override {
        _onlyEntryPoint();
        (address account, uint256 taken) = abi.decode(context, (address, uint256));
        uint256 cost = actualGasCost + POST_OP_GAS * actualUserOpFeePerGas;
        if (taken > cost) IERC20(address(token)).safeTransfer(account, taken - cost);
    }

    function _onlyEntryPoint() private view {
        if (msg.sender != address(entryPoint)) revert NotEntryPoint(msg.sender);
    }
}
