import type { Address } from '@cumulus/types'
import {
  address,
  array,
  bool,
  type ContextOf,
  cell,
  dict,
  module,
  require,
  struct,
  text,
  u32,
  u64,
  u256,
} from '../framework/index.ts'
import { parameters } from './parameters.ts'
import { page, requireShort, ZERO_ADDRESS } from './rules.ts'
import { treasury } from './treasury.ts'

/** Frozen: expired, but still to be renewed. Expired: nothing can be added any more; what is there can be read. */
export const territoryState = { active: 1, frozen: 2, expired: 3 } as const

const NAME_BYTES_MAX = 64
const GIB = 2n ** 30n
const U64_MAX = 2n ** 64n - 1n

/** EIP-165 ids: EIP-165 itself, EIP-721, its metadata extension. */
const INTERFACES = ['0x01ffc9a7', '0x80ac58cd', '0x5b5e139f']

const definition = module({
  name: 'Territories',
  address: '0x0000000000000000000000000000000000000c05',
  about: 'Rented space as ERC-721 tokens: logical bytes for a number of epochs.',
  structs: [
    'struct Territory { uint256 id; address owner; string name; uint64 capacityBytes; uint64 usedBytes; uint64 lockedBytes; uint64 expiresAtEpoch; uint8 state; }',
  ],
  storage: {
    count: cell(u64),
    territories: dict(
      u256,
      struct({
        owner: address,
        /** Place in the owner's list. */
        index: u32,
        /** Times it has changed hands: grants of earlier owners are void. */
        generation: u32,
        capacityBytes: u64,
        usedBytes: u64,
        lockedBytes: u64,
        expiresAtEpoch: u64,
        name: text,
      }),
    ),
    ownedBy: dict(address, array(u64)),
    approved: dict(u256, address),
    operators: dict(address, dict(address, bool)),
  },
  events: {
    TerritoryMinted:
      'event TerritoryMinted(uint256 indexed id, address indexed owner, string name, uint64 capacityBytes, uint64 expiresAtEpoch)',
    TerritoryExpanded: 'event TerritoryExpanded(uint256 indexed id, uint64 capacityBytes)',
    TerritoryRenewed: 'event TerritoryRenewed(uint256 indexed id, uint64 expiresAtEpoch)',
    TerritoryRenamed: 'event TerritoryRenamed(uint256 indexed id, string name)',
    Transfer: 'event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)',
    Approval: 'event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)',
    ApprovalForAll: 'event ApprovalForAll(address indexed owner, address indexed operator, bool approved)',
  },
  errors: { PriceNotPaid: 'error PriceNotPaid(uint256 price, uint256 value)' },
})

type C = ContextOf<typeof definition>

/** Rent for so many bytes over so many epochs, rounded up to a wei. */
export function rentOf(pricePerGiBEpoch: bigint, capacityBytes: bigint, epochs: bigint): bigint {
  return (capacityBytes * epochs * pricePerGiBEpoch + GIB - 1n) / GIB
}

function priceOf(c: C, capacityBytes: bigint, epochs: bigint): bigint {
  return rentOf(c.ask(parameters).get('territories.pricePerGiBEpoch'), capacityBytes, epochs)
}

function stateAt(c: C, expiresAtEpoch: bigint): number {
  const epoch = BigInt(c.block.epoch)
  if (epoch < expiresAtEpoch) return territoryState.active
  const graceEpochs = c.ask(parameters).get('territories.graceEpochs')
  return epoch < expiresAtEpoch + graceEpochs ? territoryState.frozen : territoryState.expired
}

function existing(c: C, id: bigint) {
  const territory = c.s.territories.at(id)
  require(territory.field('owner').get() !== ZERO_ADDRESS, 'no such territory')
  return territory
}

function ownerOf(c: C, id: bigint): Address {
  return existing(c, id).field('owner').get()
}

function territoryOf(c: C, id: bigint) {
  const { index: _i, generation: _g, ...territory } = existing(c, id).get()
  return { id, ...territory, state: stateAt(c, territory.expiresAtEpoch) }
}

/** Takes the rent from what was sent and gives back the rest. */
function collect(c: C, price: bigint): void {
  if (c.value < price) throw c.error.PriceNotPaid(price, c.value)
  c.transfer(treasury.address, price)
  c.ask(treasury).credit(price)
  c.transfer(c.caller, c.value - price)
}

function append(c: C, owner: Address, id: bigint): number {
  const owned = c.s.ownedBy.at(owner)
  const index = owned.length()
  owned.push(id)
  return index
}

/** Takes a territory off its owner's list; the last of the list takes its place. */
function detach(c: C, owner: Address, index: number): void {
  const owned = c.s.ownedBy.at(owner)
  const last = owned.get(owned.length() - 1)
  owned.set(index, last)
  c.s.territories.at(last).update({ index })
  owned.pop()
}

function transfer(c: C, from: Address, to: Address, id: bigint): void {
  const territory = existing(c, id)
  const { owner, index, generation } = territory.get()
  require(owner === from, 'from is not the owner')
  require(to !== ZERO_ADDRESS, 'to is zero')
  require(c.caller === owner ||
    c.s.approved.get(id) === c.caller ||
    c.s.operators.at(owner).get(c.caller), 'not the owner, nor approved')
  c.s.approved.set(id, ZERO_ADDRESS)
  detach(c, owner, index)
  territory.update({ owner: to, index: append(c, to, id), generation: generation + 1 })
  c.emit.Transfer(from, to, id)
}

/**
 * ERC-721 asks a contract whether it takes the token before it is given. Modules run no code, so the question cannot be
 * asked, and the safe answer is no. An account of a person that delegates to code (EIP-7702) is no contract: its key can
 * always move the token on.
 */
function requireNoContract(c: C, to: Address): void {
  const code = c.codeOf(to)
  const delegates = code.length === 23 && code[0] === 0xef && code[1] === 0x01 && code[2] === 0x00
  require(code.length === 0 || delegates, 'safeTransferFrom cannot ask a contract: use transferFrom')
}

/** Bytes in use and locked, moved by the Storage module. What is not there cannot be moved: then that module is wrong. */
function account(c: C, id: bigint, { used = 0n, locked = 0n }): void {
  const territory = c.s.territories.at(id)
  const usedBytes = territory.field('usedBytes').get() + used
  const lockedBytes = territory.field('lockedBytes').get() + locked
  if (usedBytes < 0n || lockedBytes < 0n) throw new Error(`territory ${id} has not so many bytes`)
  territory.update({ usedBytes, lockedBytes })
}

/** Rented space. used + locked ≤ capacity, always. */
export const territories = definition
  .fn(
    'function mint(string name, uint64 capacityBytes, uint32 epochs, address owner) payable returns (uint256 id)',
    0,
    (c, name, capacityBytes, epochs, owner) => {
      requireShort('name', name, NAME_BYTES_MAX)
      require(capacityBytes > 0n, 'no capacity')
      require(epochs > 0, 'no epochs')
      require(owner !== ZERO_ADDRESS, 'owner is zero')
      const id = c.s.count.get() + 1n
      c.s.count.set(id)
      const expiresAtEpoch = BigInt(c.block.epoch) + BigInt(epochs)
      c.s.territories.at(id).set({
        owner,
        index: append(c, owner, id),
        generation: 0,
        capacityBytes,
        usedBytes: 0n,
        lockedBytes: 0n,
        expiresAtEpoch,
        name,
      })
      collect(c, priceOf(c, capacityBytes, BigInt(epochs)))
      c.emit.Transfer(ZERO_ADDRESS, owner, id)
      c.emit.TerritoryMinted(id, owner, name, capacityBytes, expiresAtEpoch)
      return id
    },
  )
  .fn('function expand(uint256 id, uint64 extraBytes) payable', 0, (c, id, extraBytes) => {
    const territory = existing(c, id)
    const expiresAtEpoch = territory.field('expiresAtEpoch').get()
    require(stateAt(c, expiresAtEpoch) === territoryState.active, 'territory is not active: renew it first')
    require(extraBytes > 0n, 'no extra bytes')
    const capacityBytes = territory.field('capacityBytes').get() + extraBytes
    require(capacityBytes <= U64_MAX, 'capacity is over 2^64 - 1 bytes')
    territory.update({ capacityBytes })
    collect(c, priceOf(c, extraBytes, expiresAtEpoch - BigInt(c.block.epoch)))
    c.emit.TerritoryExpanded(id, capacityBytes)
  })
  .fn('function renew(uint256 id, uint32 epochs) payable', 0, (c, id, epochs) => {
    const territory = existing(c, id)
    const before = territory.field('expiresAtEpoch').get()
    require(stateAt(c, before) !== territoryState.expired, 'territory has expired for good')
    require(epochs > 0, 'no epochs')
    // The epochs of grace are paid for too: renewal goes on from where it stopped.
    const expiresAtEpoch = before + BigInt(epochs)
    require(expiresAtEpoch <= U64_MAX, 'expiry is over 2^64 - 1')
    territory.update({ expiresAtEpoch })
    collect(c, priceOf(c, territory.field('capacityBytes').get(), BigInt(epochs)))
    c.emit.TerritoryRenewed(id, expiresAtEpoch)
  })
  .fn('function rename(uint256 id, string name)', 0, (c, id, name) => {
    const territory = existing(c, id)
    require(territory.field('owner').get() === c.caller, 'not the owner')
    requireShort('name', name, NAME_BYTES_MAX)
    territory.update({ name })
    c.emit.TerritoryRenamed(id, name)
  })
  .view('function price(uint64 capacityBytes, uint32 epochs) view returns (uint256)', (c, capacityBytes, epochs) =>
    priceOf(c, capacityBytes, BigInt(epochs)),
  )
  .view('function territoryOf(uint256 id) view returns (Territory)', (c, id) => territoryOf(c, id))
  .view(
    'function territoriesOf(address owner, uint256 offset, uint256 limit) view returns (Territory[])',
    (c, owner, offset, limit) => {
      const owned = c.s.ownedBy.at(owner)
      return page(offset, limit, owned.length()).map((i) => territoryOf(c, owned.get(i)))
    },
  )
  // EIP-721
  .view('function balanceOf(address owner) view returns (uint256)', (c, owner) => {
    require(owner !== ZERO_ADDRESS, 'owner is zero')
    return BigInt(c.s.ownedBy.at(owner).length())
  })
  .view('function ownerOf(uint256 tokenId) view returns (address)', (c, id) => ownerOf(c, id))
  .fn('function transferFrom(address from, address to, uint256 tokenId)', 0, (c, from, to, id) =>
    transfer(c, from, to, id),
  )
  .fn('function safeTransferFrom(address from, address to, uint256 tokenId)', 0, (c, from, to, id) => {
    requireNoContract(c, to)
    transfer(c, from, to, id)
  })
  .fn('function safeTransferFrom(address from, address to, uint256 tokenId, bytes data)', 0, (c, from, to, id) => {
    requireNoContract(c, to)
    transfer(c, from, to, id)
  })
  .fn('function approve(address to, uint256 tokenId)', 0, (c, to, id) => {
    const owner = ownerOf(c, id)
    require(c.caller === owner || c.s.operators.at(owner).get(c.caller), 'not the owner, nor an operator')
    c.s.approved.set(id, to)
    c.emit.Approval(owner, to, id)
  })
  .fn('function setApprovalForAll(address operator, bool approved)', 0, (c, operator, approved) => {
    require(operator !== ZERO_ADDRESS, 'operator is zero')
    c.s.operators.at(c.caller).set(operator, approved)
    c.emit.ApprovalForAll(c.caller, operator, approved)
  })
  .view('function getApproved(uint256 tokenId) view returns (address)', (c, id) => {
    existing(c, id)
    return c.s.approved.get(id)
  })
  .view('function isApprovedForAll(address owner, address operator) view returns (bool)', (c, owner, operator) =>
    c.s.operators.at(owner).get(operator),
  )
  .view('function name() view returns (string)', () => 'Cumulus Territory')
  .view('function symbol() view returns (string)', () => 'LAND')
  .view('function tokenURI(uint256 tokenId) view returns (string)', (c, id) => {
    const { name, capacityBytes, expiresAtEpoch } = territoryOf(c, id)
    const metadata = JSON.stringify({
      name,
      description: `${capacityBytes} bytes of storage until epoch ${expiresAtEpoch}`,
    })
    return `data:application/json,${encodeURIComponent(metadata)}`
  })
  .view('function supportsInterface(bytes4 interfaceId) view returns (bool)', (_c, id) => INTERFACES.includes(id))
  .service('ownerOf', (c, id: bigint) => ownerOf(c, id))
  .service('generationOf', (c, id: bigint) => existing(c, id).field('generation').get())
  /** Bytes that may still be reserved, and what it costs to have `bytes` more until the end of the term. */
  .service('roomOf', (c, id: bigint) => {
    const { capacityBytes, usedBytes, lockedBytes, expiresAtEpoch } = existing(c, id).get()
    return {
      active: stateAt(c, expiresAtEpoch) === territoryState.active,
      freeBytes: capacityBytes - usedBytes - lockedBytes,
      priceOf: (bytes: bigint) => priceOf(c, bytes, expiresAtEpoch - BigInt(c.block.epoch)),
    }
  })
  .service('lock', (c, id: bigint, bytes: bigint) => account(c, id, { locked: bytes }))
  .service('unlock', (c, id: bigint, bytes: bigint) => account(c, id, { locked: -bytes }))
  .service('use', (c, id: bigint, bytes: bigint) => account(c, id, { locked: -bytes, used: bytes }))
  .service('free', (c, id: bigint, bytes: bigint) => account(c, id, { used: -bytes }))
