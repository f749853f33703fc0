import { equalBytes } from '@cumulus/bytes'
import {
  type Genesis,
  Ledger,
  type LedgerStore,
  MemoryLedgerStore,
  ModuleRegistry,
  modulesFor,
  type Transaction,
} from '@cumulus/ledger'
import { type FrameHandlers, type Listener, listen, PeerIdentity } from '@cumulus/network'
import { minimal } from '@cumulus/params'
import { createLogger, type Logger } from '@cumulus/service'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { BlockService, type BlockServiceComponents, type BlockServiceLimits } from '../src/block-service.ts'
import type { ChainPeersLimits, KnownPeer } from '../src/chain-peers.ts'
import type { CertificateStore, CertificateVerifier } from '../src/finality.ts'

const TOKEN = 10n ** 18n
export const GENESIS_MS = 1_764_000_000_000

export const quiet: Logger = createLogger({ name: 'test', write: () => {} })

/**
 * Ten funded accounts on the smallest parameters, in memory.
 *
 * @param more what else the chain begins with
 */
export function openTestLedger(
  store: LedgerStore = new MemoryLedgerStore(),
  more: Genesis['alloc'] = {},
): Promise<Ledger> {
  const accounts = Array.from({ length: 10 }, (_, index) => testAccount(index).address)
  return Ledger.open({
    params: minimal,
    genesis: {
      timestampMs: GENESIS_MS,
      alloc: { ...Object.fromEntries(accounts.map((address) => [address, { balance: 1_000_000n * TOKEN }])), ...more },
    },
    store,
    modules: new ModuleRegistry(modulesFor(minimal)),
  })
}

/** A certificate without cryptography: height u64 ‖ header hash ‖ 1 if it is sound. */
export const fakeVerifier: CertificateVerifier & { verifiedCount: number } = {
  verifiedCount: 0,
  read(certificate) {
    if (certificate.length !== 41) throw new Error('no certificate')
    return {
      height: new DataView(certificate.buffer, certificate.byteOffset).getBigUint64(0),
      headerHash: certificate.subarray(8, 40),
    }
  },
  verify(certificate) {
    this.verifiedCount++
    if (certificate[40] !== 1) throw new Error('signatures are not the committee’s')
  },
}

export function fakeCertificate(height: bigint, hash: Uint8Array, isSound = true): Uint8Array {
  const bytes = new Uint8Array(41)
  new DataView(bytes.buffer).setBigUint64(0, height)
  bytes.set(hash, 8)
  bytes[40] = isSound ? 1 : 0
  return bytes
}

export class MemoryCertificates implements CertificateStore {
  readonly byHeight = new Map<bigint, Uint8Array>()
  highest: bigint | undefined

  at(height: bigint): Uint8Array | undefined {
    return this.byHeight.get(height)
  }

  put(height: bigint, certificate: Uint8Array): void {
    this.byHeight.set(height, certificate)
    if (this.highest === undefined || height > this.highest) this.highest = height
  }
}

/** A chain that grows when told to, with certificates where told to. */
export class TestChain {
  readonly store: MemoryLedgerStore
  readonly ledger: Ledger
  readonly certificates = new MemoryCertificates()
  readonly #nonces = Array.from({ length: 10 }, () => 0)

  private constructor(store: MemoryLedgerStore, ledger: Ledger) {
    this.store = store
    this.ledger = ledger
  }

  static async create(more?: Genesis['alloc']): Promise<TestChain> {
    const store = new MemoryLedgerStore()
    return new TestChain(store, await openTestLedger(store, more))
  }

  /** A copy that goes its own way. */
  async fork(): Promise<TestChain> {
    const store = this.store.clone()
    const fork = new TestChain(store, await openTestLedger(store))
    for (const [height, certificate] of this.certificates.byHeight) fork.certificates.put(height, certificate)
    this.#nonces.forEach((nonce, index) => {
      fork.#nonces[index] = nonce
    })
    return fork
  }

  /** @param certifyEach one certificate for so many blocks; 0 = none */
  async grow(blocks: number, { transactions = 1, certifyEach = 1, salt = 0 } = {}): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      const { head } = this.ledger
      const number = head.number + 1n
      const content: Transaction[] = []
      for (let t = 0; t < transactions; t++) {
        const sender = Number(number + BigInt(t)) % 10
        content.push(await signed(testAccount(sender), { nonce: this.#nonces[sender]!++, value: BigInt(salt + 1) }))
      }
      // An epoch of the minimal preset has 4 s: a block every 0.5 s crosses one every 8 blocks.
      await this.ledger.execute({
        number,
        timestampMs: head.timestampMs + 500,
        prevRandao: new Uint8Array(32).fill(Number(number & 0xffn)),
        coinbase: `0x${'cc'.repeat(20)}`,
        consensusRoot: new Uint8Array(32).fill(7),
        transactions: content,
      })
      if (certifyEach > 0 && number % BigInt(certifyEach) === 0n) this.certify()
    }
  }

  certify(isSound = true): void {
    const { number, hash } = this.ledger.head
    this.certificates.put(number, fakeCertificate(number, hash, isSound))
  }
}

/** Nodes that listen on loopback, closed together. */
export class TestNetwork {
  readonly #listeners: Listener[] = []

  async serve(
    chain: TestChain,
    init: Partial<BlockServiceComponents> & {
      limits?: Partial<BlockServiceLimits>
      isTrusted?: boolean
      lie?: (honest: FrameHandlers) => FrameHandlers
    } = {},
  ): Promise<{ service: BlockService; known: KnownPeer; identity: PeerIdentity; listener: Listener }> {
    const { limits, isTrusted = false, lie = (honest: FrameHandlers) => honest, ...components } = init
    const { ledger, store, certificates } = chain
    const service = new BlockService({ chain: ledger, store, certificates, ...components }, limits)
    const identity = PeerIdentity.create()
    const handlers = lie(service.handlers)
    const listener = await listen({ host: '127.0.0.1', port: 0, identity, handlers })
    this.#listeners.push(listener)
    const known: KnownPeer = {
      peerKey: identity.publicKey,
      addresses: [{ host: '127.0.0.1', port: listener.port }],
      origin: 'configured',
      isTrusted,
    }
    return { service, known, identity, listener }
  }

  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()))
  }
}

export const quickPeers: Partial<ChainPeersLimits> = { requestMs: 800, banMs: 60_000, statusSpacingMs: 2 }

/** Resolves when `condition` holds; it is looked at often. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const startedAtMs = performance.now()
  while (!(await condition())) {
    if (performance.now() - startedAtMs > 20_000) throw new Error(`it never came true that ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export function sameHead(a: Ledger, b: Ledger): boolean {
  return equalBytes(a.head.hash, b.head.hash)
}
