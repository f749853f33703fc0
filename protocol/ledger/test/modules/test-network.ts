import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { minimal, type Params } from '@cumulus/params'
import { Ed25519Key } from '@cumulus/signature'
import { signReceipt } from '@cumulus/storage'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import type { ModuleGenesis } from '../../src/framework/index.ts'
import { gateways, miners, modulesFor, registrationMessage, storage, territories } from '../../src/modules/index.ts'
import { TestChain } from '../framework/test-chain.ts'

export const TOKEN = 10n ** 18n

/** Accounts of digits only: the checksum of EIP-55 leaves them as they are. */
export function account(number: number): Address {
  return `0x${String(number).padStart(40, '0')}`
}

export const owner = account(100)
export const gateway = account(200)
export const stranger = account(300)

export function bytes32(number: number | bigint): `0x${string}` {
  return `0x${number.toString(16).padStart(64, '0')}`
}

const keys = new Map<string, Ed25519Key>()

/** The peer key of an account, always the same. */
export function peerKeyOf(account: Address): Ed25519Key {
  let key = keys.get(account)
  if (!key) keys.set(account, (key = new Ed25519Key(keccak256(hexToBytes(account)))))
  return key
}

/** A chain with all modules and the few things that tests do again and again. */
export class TestNetwork extends TestChain {
  readonly params: Params

  constructor({
    params = minimal as Params,
    minerCount = 0,
    units = 100,
    modules = modulesFor(params),
    genesis = {} as ModuleGenesis,
  } = {}) {
    super(modules, { params, genesis })
    this.params = params
    for (const one of [owner, gateway, stranger]) this.fund(one, 1_000_000n * TOKEN)
    for (let i = 1; i <= minerCount; i++) this.registerMiner(account(i), { units })
  }

  peerSignature(account: Address, key = peerKeyOf(account)): `0x${string}` {
    return bytesToHex(key.sign(registrationMessage(this.params.chainId, account)))
  }

  registerMiner(
    account: Address,
    { units = 100, beneficiary = account, value = BigInt(units) * this.params.stakePerUnit } = {},
  ) {
    this.fund(account, value)
    const key = peerKeyOf(account)
    return this.transact(
      miners,
      'register',
      [bytesToHex(key.publicKey), '/ip4/127.0.0.1/tcp/1', beneficiary, units, 'eu', this.peerSignature(account)],
      { from: account, value },
    )
  }

  /** A territory with room for `stripes` of the standard class. */
  mint({ stripes = 100, epochs = 100, to = owner } = {}): bigint {
    const capacity = this.stripeBytes * BigInt(stripes)
    return this.call(territories, 'mint', ['land', capacity, epochs, to], { from: owner, value: TOKEN })
  }

  get stripeBytes(): bigint {
    const { dataCount, fragmentBytes } = this.params.classes.standard
    return BigInt(dataCount * fragmentBytes)
  }

  grant(territory: bigint, { to = gateway, quota = 2n ** 64n - 1n, blocks = 1_000n } = {}): void {
    this.call(gateways, 'grant', [territory, to, quota, this.block.number + blocks], { from: owner })
  }

  reserve(territory: bigint, stripes: number, { from = owner, classId = 1 } = {}) {
    const id = this.call(storage, 'reserve', [territory, classId, stripes], { from })
    return this.call(storage, 'reservationOf', [id])
  }

  /** A stripe with the receipts of `seats`, as a gateway would hand it in. */
  receipts(group: number, stripe: number, { root = bytes32(stripe + 1), seats = [...Array(12).keys()] } = {}) {
    const { members } = this.call(storage, 'groupOf', [group])
    const signatures = seats.map((position) =>
      signReceipt(peerKeyOf(members[position]!), this.params.chainId, {
        group: groupId(group),
        stripe: stripeNumber(stripe),
        seat: seat(position),
        segmentRoot: hexToBytes(root),
      }).signature.toHex(),
    )
    const bits = seats.reduce((sum, position) => sum | (1n << BigInt(position)), 0n)
    return { stripe, root, seats: bits, signatures: `0x${signatures.join('')}` as const }
  }

  minerOf(account: Address) {
    return this.call(miners, 'minerOf', [account])
  }
}
