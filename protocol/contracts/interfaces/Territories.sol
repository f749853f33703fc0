// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// @notice Rented space as ERC-721 tokens: logical bytes for a number of epochs. At 0x0000000000000000000000000000000000000c05.
interface Territories {
  struct Territory { uint256 id; address owner; string name; uint64 capacityBytes; uint64 usedBytes; uint64 lockedBytes; uint64 expiresAtEpoch; uint8 state; }
  error PriceNotPaid(uint256 price, uint256 value);
  event TerritoryMinted(uint256 indexed id, address indexed owner, string name, uint64 capacityBytes, uint64 expiresAtEpoch);
  event TerritoryExpanded(uint256 indexed id, uint64 capacityBytes);
  event TerritoryRenewed(uint256 indexed id, uint64 expiresAtEpoch);
  event TerritoryRenamed(uint256 indexed id, string name);
  event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
  event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
  event ApprovalForAll(address indexed owner, address indexed operator, bool approved);
  function mint(string calldata name, uint64 capacityBytes, uint32 epochs, address owner) external payable returns (uint256 id);
  function expand(uint256 id, uint64 extraBytes) external payable;
  function renew(uint256 id, uint32 epochs) external payable;
  function rename(uint256 id, string calldata name) external;
  function price(uint64 capacityBytes, uint32 epochs) external view returns (uint256);
  function territoryOf(uint256 id) external view returns (Territory memory);
  function territoriesOf(address owner, uint256 offset, uint256 limit) external view returns (Territory[] memory);
  function balanceOf(address owner) external view returns (uint256);
  function ownerOf(uint256 tokenId) external view returns (address);
  function transferFrom(address from, address to, uint256 tokenId) external;
  function safeTransferFrom(address from, address to, uint256 tokenId) external;
  function safeTransferFrom(address from, address to, uint256 tokenId, bytes calldata data) external;
  function approve(address to, uint256 tokenId) external;
  function setApprovalForAll(address operator, bool approved) external;
  function getApproved(uint256 tokenId) external view returns (address);
  function isApprovedForAll(address owner, address operator) external view returns (bool);
  function name() external view returns (string memory);
  function symbol() external view returns (string memory);
  function tokenURI(uint256 tokenId) external view returns (string memory);
  function supportsInterface(bytes4 interfaceId) external view returns (bool);
}

Territories constant TERRITORIES = Territories(0x0000000000000000000000000000000000000C05);
