// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {TERRITORIES} from "../interfaces/Territories.sol";

/// @title Territories change hands by a signature (EIP-712, or EIP-1271 of a contract account) instead of a transaction.
/// @notice An owner makes this contract its operator once (`Territories.setApprovalForAll`); from then on a signed
/// permit lets the named spender take one territory, once, until the deadline. Nonces may be used in any order.
contract TerritoryPermit is EIP712 {
    bytes32 public constant PERMIT_TRANSFER_TYPEHASH =
        keccak256("PermitTransfer(uint256 territory,address spender,uint256 nonce,uint256 deadline)");
    bytes32 public constant PERMIT_APPROVE_TYPEHASH =
        keccak256("PermitApprove(uint256 territory,address spender,uint256 nonce,uint256 deadline)");

    /// @notice Used nonces of an owner: bit `nonce % 256` of word `nonce / 256`.
    mapping(address owner => mapping(uint256 word => uint256 bits)) public nonceBitmap;

    event NoncesCancelled(address indexed owner, uint256 word, uint256 mask);

    error Expired(uint256 deadline);
    error NonceUsed(address owner, uint256 nonce);
    error BadSignature(address owner);

    constructor() EIP712("Cumulus Territory Permit", "1") {}

    /// @notice The spender, who calls, moves the territory to `to`.
    function permitTransfer(
        uint256 territory,
        address owner,
        address to,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _use(PERMIT_TRANSFER_TYPEHASH, territory, owner, msg.sender, nonce, deadline, signature);
        TERRITORIES.transferFrom(owner, to, territory);
    }

    /// @notice Anybody hands in the owner's word that `spender` may move the territory.
    function permitApprove(
        uint256 territory,
        address owner,
        address spender,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external {
        _use(PERMIT_APPROVE_TYPEHASH, territory, owner, spender, nonce, deadline, signature);
        if (TERRITORIES.ownerOf(territory) != owner) revert BadSignature(owner);
        TERRITORIES.approve(spender, territory);
    }

    /// @notice Makes nonces of the caller useless.
    function cancelNonces(uint256 word, uint256 mask) external {
        nonceBitmap[msg.sender][word] |= mask;
        emit NoncesCancelled(msg.sender, word, mask);
    }

    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _use(
        bytes32 typeHash,
        uint256 territory,
        address owner,
        address spender,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) private {
        if (block.timestamp > deadline) revert Expired(deadline);
        uint256 bit = 1 << (nonce & 0xff);
        uint256 used = nonceBitmap[owner][nonce >> 8];
        if (used & bit != 0) revert NonceUsed(owner, nonce);
        nonceBitmap[owner][nonce >> 8] = used | bit;
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(typeHash, territory, spender, nonce, deadline)));
        if (!SignatureChecker.isValidSignatureNow(owner, hash, signature)) revert BadSignature(owner);
    }
}
