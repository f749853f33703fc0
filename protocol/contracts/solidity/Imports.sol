// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

// What is deployed as others wrote it.
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {EntryPoint} from "@account-abstraction/contracts/core/EntryPoint.sol";
import {SimpleAccountFactory} from "@account-abstraction/contracts/accounts/SimpleAccountFactory.sol";
