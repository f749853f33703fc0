import { concatBytes, hexToBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { recoverSecp256k1, secp256k1Address } from '@cumulus/signature'
import { type Address, addressFromBytes } from '@cumulus/types'
import { parseAbiParameters } from 'abitype'
import { compileTuple } from '../framework/abi-codec.ts'
import {
  address,
  array,
  bytes32,
  type ContextOf,
  dict,
  gasPrices,
  module,
  require,
  struct,
  text,
  u32,
  u64,
  u256,
} from '../framework/index.ts'
import { page, requirePeerSignature, requireShort, ZERO_ADDRESS, ZERO_BYTES32 } from './rules.ts'
import { territories } from './territories.ts'

const ADDRESSES_BYTES_MAX = 1024
const ENDPOINT_BYTES_MAX = 256

const GATEWAYS_ADDRESS = '0x0000000000000000000000000000000000000c06'

const definition = module({
  name: 'Gateways',
  address: GATEWAYS_ADDRESS,
  about: 'Who serves clients, and what owners of territories let them do.',
  structs: [
    'struct Gateway { address account; bytes32 peerKey; string addresses; string endpoint; uint64 registeredAtBlock; }',
    'struct Grant { uint64 quotaBytes; uint64 usedBytes; uint64 expiresAtBlock; }',
  ],
  storage: {
    accounts: array(address),
    byPeerKey: dict(bytes32, address),
    gateways: dict(
      address,
      struct({ peerKey: bytes32, registeredAtBlock: u64, index: u32, addresses: text, endpoint: text }),
    ),
    /** By territory and gateway. One slot each. */
    grants: dict(
      u256,
      dict(
        address,
        struct({
          quotaBytes: u64,
          /** Bytes that stripes reserved under grants take now. Survives revocation, as those stripes do. */
          usedBytes: u64,
          expiresAtBlock: u64,
          /** The territory's generation when it was given: a new owner is not bound by it. */
          generation: u32,
        }),
      ),
    ),
    grantNonces: dict(address, u256),
  },
  events: {
    GatewayRegistered:
      'event GatewayRegistered(address indexed account, bytes32 indexed peerKey, string addresses, string endpoint)',
    GatewayUpdated: 'event GatewayUpdated(address indexed account, string addresses, string endpoint)',
    GatewayRemoved: 'event GatewayRemoved(address indexed account)',
    Granted:
      'event Granted(uint256 indexed territory, address indexed gateway, uint64 quotaBytes, uint64 expiresAtBlock)',
    Revoked: 'event Revoked(uint256 indexed territory, address indexed gateway)',
  },
})

type C = ContextOf<typeof definition>

/** A grant that the owner of a territory signs (EIP-712) instead of sending a transaction. */
export interface SignedGrant {
  readonly territory: bigint
  readonly gateway: Address
  readonly quotaBytes: bigint
  readonly expiresAtBlock: bigint
  /** `grantNonceOf(owner)`. */
  readonly nonce: bigint
  /** Last chain block in which it can be handed in. */
  readonly deadlineBlock: bigint
}

const GRANT_FIELDS = [
  { name: 'territory', type: 'uint256' },
  { name: 'gateway', type: 'address' },
  { name: 'quotaBytes', type: 'uint64' },
  { name: 'expiresAtBlock', type: 'uint64' },
  { name: 'nonce', type: 'uint256' },
  { name: 'deadlineBlock', type: 'uint64' },
] as const

const DOMAIN_NAME = 'Cumulus Gateways'
const DOMAIN_VERSION = '1'

/** What a wallet is asked to sign: `wallet.signTypedData(grantTypedData(chainId, grant))` with viem or any other. */
export function grantTypedData(chainId: number, grant: SignedGrant) {
  return {
    domain: { name: DOMAIN_NAME, version: DOMAIN_VERSION, chainId, verifyingContract: GATEWAYS_ADDRESS },
    types: { Grant: GRANT_FIELDS },
    primaryType: 'Grant',
    message: grant,
  } as const
}

const domainCodec = compileTuple(parseAbiParameters('bytes32, bytes32, bytes32, uint256, address'))
const grantCodec = compileTuple(parseAbiParameters('bytes32, uint256, address, uint64, uint64, uint256, uint64'))
const DOMAIN_TYPE = hashOf('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)')
const GRANT_TYPE = hashOf(`Grant(${GRANT_FIELDS.map(({ name, type }) => `${type} ${name}`).join(',')})`)

function hashOf(text: string): `0x${string}` {
  return `0x${keccak256(utf8Encode(text)).toHex()}`
}

/** The EIP-712 hash of a grant. */
export function grantHash(chainId: number, grant: SignedGrant): Uint8Array {
  const { territory, gateway, quotaBytes, expiresAtBlock, nonce, deadlineBlock } = grant
  const domain = keccak256(
    domainCodec.encode([DOMAIN_TYPE, hashOf(DOMAIN_NAME), hashOf(DOMAIN_VERSION), BigInt(chainId), GATEWAYS_ADDRESS]),
  )
  const message = keccak256(
    grantCodec.encode([GRANT_TYPE, territory, gateway, quotaBytes, expiresAtBlock, nonce, deadlineBlock]),
  )
  return keccak256(concatBytes(new Uint8Array([0x19, 0x01]), domain, message))
}

/** Half the order of secp256k1: of the two signatures of one statement only the one with s below it counts (EIP-2). */
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n

/** Who signed `hash`: r ‖ s ‖ v with v 27 or 28 (or 0 or 1), or undefined if nobody can have. */
function signerOf(hash: Uint8Array, signature: Uint8Array): Address | undefined {
  if (signature.length !== 65) return undefined
  const v = signature[64]!
  const recovery = v >= 27 ? v - 27 : v
  if (recovery > 1 || BigInt(`0x${signature.subarray(32, 64).toHex()}`) > HALF_ORDER) return undefined
  const key = recoverSecp256k1(signature.slice(0, 64), recovery, hash)
  return key && addressFromBytes(secp256k1Address(key))
}

function gatewayOf(c: C, account: Address) {
  const { index: _, ...gateway } = c.s.gateways.at(account).get()
  return { account: gateway.peerKey === ZERO_BYTES32 ? ZERO_ADDRESS : account, ...gateway }
}

function registered(c: C) {
  const gateway = c.s.gateways.at(c.caller)
  require(gateway.field('peerKey').get() !== ZERO_BYTES32, 'not a gateway')
  return gateway
}

function grant(c: C, territory: bigint, gateway: Address, terms: { quotaBytes: bigint; expiresAtBlock: bigint }): void {
  require(gateway !== ZERO_ADDRESS, 'gateway is zero')
  require(terms.expiresAtBlock > c.block.number, 'grant has expired')
  const generation = c.ask(territories).generationOf(territory)
  c.s.grants
    .at(territory)
    .at(gateway)
    .update({ ...terms, generation })
  c.emit.Granted(territory, gateway, terms.quotaBytes, terms.expiresAtBlock)
}

/** The grant as it holds now: nothing if it was revoked or given by an earlier owner. */
function grantOf(c: C, territory: bigint, gateway: Address) {
  const { generation, ...terms } = c.s.grants.at(territory).at(gateway).get()
  const stands = terms.expiresAtBlock > 0n && generation === c.ask(territories).generationOf(territory)
  return stands ? terms : { quotaBytes: 0n, usedBytes: 0n, expiresAtBlock: 0n }
}

function mayUse(c: C, territory: bigint, account: Address): boolean {
  return (
    c.ask(territories).ownerOf(territory) === account || grantOf(c, territory, account).expiresAtBlock > c.block.number
  )
}

/** The register of gateways, and the grants that owners give them. */
export const gateways = definition
  .fn(
    'function register(bytes32 peerKey, string addresses, string endpoint, bytes peerSignature)',
    0,
    (c, peerKey, addresses, endpoint, signature) => {
      const gateway = c.s.gateways.at(c.caller)
      require(gateway.field('peerKey').get() === ZERO_BYTES32, 'already registered')
      require(c.s.byPeerKey.get(peerKey) === ZERO_ADDRESS, 'peer key belongs to another gateway')
      requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
      requireShort('endpoint', endpoint, ENDPOINT_BYTES_MAX)
      requirePeerSignature(c, { account: c.caller, peerKey, signature })
      const index = c.s.accounts.length()
      gateway.set({ peerKey, registeredAtBlock: c.block.number, index, addresses, endpoint })
      c.s.accounts.push(c.caller)
      c.s.byPeerKey.set(peerKey, c.caller)
      c.emit.GatewayRegistered(c.caller, peerKey, addresses, endpoint)
    },
  )
  .fn('function update(string addresses, string endpoint)', 0, (c, addresses, endpoint) => {
    requireShort('addresses', addresses, ADDRESSES_BYTES_MAX)
    requireShort('endpoint', endpoint, ENDPOINT_BYTES_MAX)
    registered(c).update({ addresses, endpoint })
    c.emit.GatewayUpdated(c.caller, addresses, endpoint)
  })
  .fn('function remove()', 0, (c) => {
    const gateway = registered(c)
    const { index, peerKey } = gateway.get()
    const last = c.s.accounts.get(c.s.accounts.length() - 1)
    c.s.accounts.set(index, last)
    c.s.gateways.at(last).update({ index })
    c.s.accounts.pop()
    c.s.byPeerKey.set(peerKey, ZERO_ADDRESS)
    gateway.clear()
    c.emit.GatewayRemoved(c.caller)
  })
  .view('function gatewayOf(address account) view returns (Gateway)', (c, account) => gatewayOf(c, account))
  .view('function gatewayByPeerKey(bytes32 peerKey) view returns (Gateway)', (c, peerKey) =>
    gatewayOf(c, c.s.byPeerKey.get(peerKey)),
  )
  .view('function gatewayCount() view returns (uint256)', (c) => BigInt(c.s.accounts.length()))
  .view('function gateways(uint256 offset, uint256 limit) view returns (Gateway[])', (c, offset, limit) =>
    page(offset, limit, c.s.accounts.length()).map((i) => gatewayOf(c, c.s.accounts.get(i))),
  )
  .fn(
    'function grant(uint256 territory, address gateway, uint64 quotaBytes, uint64 expiresAtBlock)',
    0,
    (c, territory, gateway, quotaBytes, expiresAtBlock) => {
      require(c.ask(territories).ownerOf(territory) === c.caller, 'not the owner')
      grant(c, territory, gateway, { quotaBytes, expiresAtBlock })
    },
  )
  .fn('function revoke(uint256 territory, address gateway)', 0, (c, territory, gateway) => {
    require(c.ask(territories).ownerOf(territory) === c.caller, 'not the owner')
    c.s.grants.at(territory).at(gateway).update({ quotaBytes: 0n, expiresAtBlock: 0n })
    c.emit.Revoked(territory, gateway)
  })
  .fn(
    'function grantBySignature(uint256 territory, address gateway, uint64 quotaBytes, uint64 expiresAtBlock, uint256 nonce, uint64 deadlineBlock, bytes signature)',
    gasPrices.recover,
    (c, territory, gateway, quotaBytes, expiresAtBlock, nonce, deadlineBlock, signature) => {
      require(c.block.number <= deadlineBlock, 'deadline has passed')
      const owner = c.ask(territories).ownerOf(territory)
      require(c.s.grantNonces.get(owner) === nonce, 'nonce is not the next one')
      const signed = { territory, gateway, quotaBytes, expiresAtBlock, nonce, deadlineBlock }
      const signer = signerOf(grantHash(c.block.chainId, signed), hexToBytes(signature))
      require(signer === owner, 'not signed by the owner')
      c.s.grantNonces.set(owner, nonce + 1n)
      grant(c, territory, gateway, { quotaBytes, expiresAtBlock })
    },
  )
  .view('function grantNonceOf(address owner) view returns (uint256)', (c, owner) => c.s.grantNonces.get(owner))
  .view('function grantOf(uint256 territory, address gateway) view returns (Grant)', (c, territory, gateway) =>
    grantOf(c, territory, gateway),
  )
  .view('function mayUse(uint256 territory, address gateway) view returns (bool)', (c, territory, gateway) =>
    mayUse(c, territory, gateway),
  )
  .service('mayUse', (c, territory: bigint, account: Address) => mayUse(c, territory, account))
  /** Bytes a gateway may still reserve in a territory, or undefined if it holds no grant that lasts. */
  .service('quotaOf', (c, territory: bigint, gateway: Address): bigint | undefined => {
    const { quotaBytes, usedBytes, expiresAtBlock } = grantOf(c, territory, gateway)
    if (expiresAtBlock <= c.block.number) return undefined
    // An owner may lower a quota below what is used.
    return quotaBytes > usedBytes ? quotaBytes - usedBytes : 0n
  })
  /** Counts bytes towards a grant (below zero: gives them back). */
  .service('spend', (c, territory: bigint, gateway: Address, bytes: bigint) => {
    const usedBytes = c.s.grants.at(territory).at(gateway).field('usedBytes')
    usedBytes.set(usedBytes.get() + bytes)
  })
