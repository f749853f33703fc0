import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import { LmdbLedgerStore } from '@cumulus/execution'
import { sha256 } from '@cumulus/hash'
import {
  decodeChunk,
  encodeChunk,
  encodeHeader,
  type Ledger,
  MemoryLedgerStore,
  snapshotBase,
  snapshotProgress,
} from '@cumulus/ledger'
import { type FrameHandler, type FrameHandlers, FrameOp, PeerIdentity, RemoteError } from '@cumulus/network'
import { minimal } from '@cumulus/params'
import { createPublicClient, http, toHex } from 'viem'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import { ChainPeers, type KnownPeer } from '../src/chain-peers.ts'
import { Follower } from '../src/follower.ts'
import { SnapshotKeeper } from '../src/snapshot-keeper.ts'
import { decodeManifest, encodeManifest, encodeManifests } from '../src/snapshot-manifest.ts'
import { syncSnapshot } from '../src/snapshot-sync.ts'
import {
  fakeVerifier,
  GENESIS_MS,
  MemoryCertificates,
  openTestLedger,
  quickPeers,
  quiet,
  sameHead,
  TestChain,
  TestNetwork,
  until,
} from './test-chain.ts'
import { OrderingNode, TestNode } from './test-network.ts'

/** Blocks of half a second: an epoch of the minimal preset has 8. */
async function growWithSnapshots(chain: TestChain, keeper: SnapshotKeeper, blocks: number): Promise<void> {
  for (let i = 0; i < blocks; i++) {
    await chain.grow(1)
    const before = keeper.heights[0]
    keeper.onBlock(chain.ledger.head)
    const ms = chain.ledger.head.timestampMs - GENESIS_MS
    if (i > 0 && ms % 4_000 === 0) await until(() => keeper.heights[0] !== before, 'a snapshot is made')
  }
}

describe('snapshots', () => {
  let dir: string
  let chain: TestChain
  let keeper: SnapshotKeeper
  let network: TestNetwork
  const keeperOf = (of: TestChain, folder = dir) =>
    new SnapshotKeeper(
      {
        dir: folder,
        params: minimal,
        genesisMs: GENESIS_MS,
        readSnapshot: () => Object.assign(of.store.clone(), { close() {} }),
        log: quiet,
      },
      { restMs: 1, spacing: 0, intervalMsMin: 0 },
    )
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-snapshots-'))
    chain = await TestChain.create()
    keeper = keeperOf(chain)
    await keeper.open()
    await growWithSnapshots(chain, keeper, 30)
  })
  after(async () => {
    await keeper.close()
    await rm(dir, { recursive: true })
  })
  beforeEach(() => {
    network = new TestNetwork()
  })
  afterEach(() => network.close())

  const serve = (lie?: (honest: FrameHandlers) => FrameHandlers) =>
    network.serve(chain, { handlers: keeper.handlers, lie })

  /** Reads a snapshot into a store, and follows the chain from there. */
  const sync = async (known: readonly KnownPeer[], store = new MemoryLedgerStore()) => {
    const { genesisHash } = await openTestLedger()
    const ending = new AbortController()
    const { signal } = ending
    const identity = PeerIdentity.create()
    const peers = new ChainPeers({ identity, genesisHash, handlers: {}, log: quiet }, quickPeers)
    for (const one of known) peers.add(one)
    const running = peers.run({ signal })
    const components = { store, genesisHash, peers, verifier: fakeVerifier, log: quiet }
    const stop = async () => {
      ending.abort()
      await running
    }
    const start = () => syncSnapshot(components, { signal }, { searchMs: 1_000, idleMs: 20 })
    const follow = async (): Promise<Ledger> => {
      const ledger = await openTestLedger(store)
      const certificates = new MemoryCertificates()
      const follower = new Follower({ ledger, peers, verifier: fakeVerifier, certificates, log: quiet }, { idleMs: 20 })
      for await (const batch of follower.decided({ signal })) {
        await ledger.execute(batch)
        if (sameHead(ledger, chain.ledger)) break
      }
      return ledger
    }
    return { peers, store, start, follow, stop }
  }

  it('are made at the first block of each epoch, and the last two are kept', async () => {
    assert.deepEqual(keeper.heights, [24n, 16n])
    await until(async () => (await readdir(join(dir, 'snapshots'))).length === 2, 'the third is removed')
    assert.deepEqual((await readdir(join(dir, 'snapshots'))).sort(), ['16', '24'])
  })

  it('are found again after a restart, and what was not finished is removed', async () => {
    await mkdir(join(dir, 'snapshots', '32.draft'))
    await mkdir(join(dir, 'snapshots', '40'))
    await writeFile(join(dir, 'snapshots', '40', 'manifest'), 'nothing')
    const again = keeperOf(chain)
    await again.open()
    assert.deepEqual(again.heights, [24n, 16n])
    assert.deepEqual((await readdir(join(dir, 'snapshots'))).sort(), ['16', '24'])
    await again.close()
  })

  it('are the same wherever they are made', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-snapshots-'))
    const other = await TestChain.create()
    const otherKeeper = keeperOf(other, folder)
    await otherKeeper.open()
    await growWithSnapshots(other, otherKeeper, 30)
    const manifests = async (of: SnapshotKeeper) =>
      ((await of.handlers[FrameOp.getSnapshot]!(undefined as never, undefined as never)) as { body: Uint8Array }).body
    assert.deepEqual(await manifests(otherKeeper), await manifests(keeper))
    await otherKeeper.close()
    await rm(folder, { recursive: true })
  })

  it('bring a node to the state of their block, from which it follows the chain to the same head', async () => {
    const { known } = await serve()
    const node = await sync([known])
    const header = await node.start()
    assert.equal(header!.number, 24n)
    assert.equal(snapshotBase(node.store), 24n)
    const ledger = await node.follow()
    assert.deepEqual(ledger.head.hash, chain.ledger.head.hash)
    assert.ok(ledger.header(1n), 'hashes of the blocks before are known to contracts')
    assert.equal(ledger.getNonce(testAccount(1).address), chain.ledger.getNonce(testAccount(1).address))
    await node.stop()
  })

  it('are not waited for when nobody has one', async () => {
    const { known } = await network.serve(chain)
    const node = await sync([known])
    assert.equal(await node.start(), undefined)
    await node.stop()
  })

  const lies: [string, FrameOp, (reply: { body?: Uint8Array }) => object][] = [
    ['a chunk with a bit changed', FrameOp.getSnapshotChunk, ({ body }) => ({ body: flip(body!, 900) })],
    ['a chunk that is cut off', FrameOp.getSnapshotChunk, ({ body }) => ({ body: body!.subarray(1) })],
    ['no manifest but noise', FrameOp.getSnapshot, () => ({ body: new Uint8Array(100).fill(3) })],
    [
      'a manifest of a block that is not the network’s',
      FrameOp.getSnapshot,
      ({ body }) => ({ body: withForgedBlock(body!) }),
    ],
  ]
  for (const [what, op, change] of lies) {
    it(`are read from an honest peer when another sends ${what}`, async () => {
      const liar = await serve((honest) => ({
        ...honest,
        [op]: (async (frame, session) => {
          const reply = await honest[op]!(frame, session)
          return { ...reply, ...change(reply) }
        }) satisfies FrameHandler,
      }))
      const honest = await serve()
      const node = await sync([liar.known])
      const reading = node.start()
      await until(() => node.peers.isBanned(liar.identity.peerId), 'the liar is found out')
      node.peers.add(honest.known)
      // The liar may have been all there was for too long.
      const header = (await reading) ?? (await node.start())
      assert.equal(header!.number, 24n)
      assert.ok(!node.peers.isBanned(honest.identity.peerId))
      await node.stop()
    })
  }

  it('that say what their root does not prove are refused as a whole', async () => {
    // Every chunk is the one that its manifest names, and the block is certified: only the proof tells.
    const liar = await serve((honest) => ({
      ...honest,
      [FrameOp.getSnapshot]: (async () => {
        const { headers } = decodeManifest(await manifestOf(honest))
        const content = contentAt(24n)
        const chunk = await forgedChunk(honest)
        const manifest = encodeManifest(headers.map(encodeHeader), content, [
          { bytes: chunk.length, hash: sha256(chunk) },
        ])
        return { body: encodeManifests([manifest]) }
      }) satisfies FrameHandler,
      [FrameOp.getSnapshotChunk]: (async () => ({ body: await forgedChunk(honest) })) satisfies FrameHandler,
    }))
    const node = await sync([liar.known])
    assert.equal(await node.start(), undefined)
    assert.ok(node.peers.isBanned(liar.identity.peerId))
    assert.equal(node.store.count('account'), 0)
    assert.equal(snapshotProgress(node.store), undefined)
    await node.stop()
  })

  it('go on where reading stopped, and are begun anew when the one that was begun is gone', async () => {
    const store = new MemoryLedgerStore()
    // An import of another snapshot, and a piece of state that is none of this chain's.
    store.write([
      { table: 'meta', key: new TextEncoder().encode('snapshot'), value: new Uint8Array(133).fill(1) },
      { table: 'account', key: new Uint8Array(20), value: new Uint8Array(5) },
    ])
    assert.equal(snapshotProgress(store)!.count, 0x01010101)
    const { known } = await serve()
    const node = await sync([known], store)
    assert.equal((await node.start())!.number, 24n)
    assert.equal(store.get('account', new Uint8Array(20)), undefined)
    await node.follow()
    await node.stop()
  })

  it('have chunks and heights that are refused when they are not there', async () => {
    const frame = (offset: number, meta: Uint8Array) => ({ offset, meta }) as never
    const index = (value: number) => Uint8Array.of(1, 0, 0, 0, value, 0, 0, 0)
    const ask = async (offset: number, meta: Uint8Array) =>
      keeper.handlers[FrameOp.getSnapshotChunk]!(frame(offset, meta), undefined as never)
    const coded = (code: string) => (error: unknown) => error instanceof RemoteError && error.code === code
    await assert.rejects(ask(24, index(99)), coded('NO_SUCH_SNAPSHOT'))
    await assert.rejects(ask(23, index(0)), coded('NO_SUCH_SNAPSHOT'))
    await assert.rejects(ask(24, new Uint8Array(2)), coded('MALFORMED'))
    assert.throws(() => decodeManifest(new Uint8Array(12)), DecodeError)
  })

  function contentAt(height: bigint): { body: Uint8Array; receipts: Uint8Array } {
    const key = new Uint8Array(8)
    new DataView(key.buffer).setBigUint64(0, height)
    return { body: chain.store.get('body', key)!, receipts: chain.store.get('receipts', key)! }
  }

  async function manifestOf(honest: FrameHandlers): Promise<Uint8Array> {
    const { body } = (await honest[FrameOp.getSnapshot]!(
      { meta: new Uint8Array(0), body: new Uint8Array(0) } as never,
      {
        peerId: 'test',
      } as never,
    )) as { body: Uint8Array }
    return body.slice(4, 4 + new DataView(body.buffer, body.byteOffset).getUint32(0, true))
  }

  async function forgedChunk(honest: FrameHandlers): Promise<Uint8Array> {
    const frame = { offset: 24, meta: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), body: new Uint8Array(0) }
    const { body } = (await honest[FrameOp.getSnapshotChunk]!(frame as never, { peerId: 'test' } as never)) as {
      body: Uint8Array
    }
    const chunk = decodeChunk(body)
    return encodeChunk({ ...chunk, entries: chunk.entries.slice(1) })
  }

  function withForgedBlock(body: Uint8Array): Uint8Array {
    const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
    const { headers, chunks } = decodeManifest(body.slice(4, 4 + length))
    const raw = headers.map(encodeHeader)
    const last = headers.at(-1)!
    raw[raw.length - 1] = encodeHeader({ ...last, stateRoot: last.transactionsRoot })
    const manifest = encodeManifest(raw, contentAt(last.number), chunks)
    const forged = new Uint8Array(4 + manifest.length)
    new DataView(forged.buffer).setUint32(0, manifest.length, true)
    forged.set(manifest, 4)
    return forged
  }
})

describe('a full node that begins with a snapshot', () => {
  it('is at the tip without the blocks before, and says so', async () => {
    const origin = await OrderingNode.start()
    const near = await TestNode.start({
      trustedPeers: [origin.address],
      snapshots: { make: true, limits: { intervalMsMin: 0 } },
    })
    const client = createPublicClient({ transport: http(near.url), cacheTime: 0 })
    let nonce = 0
    const send = async () => {
      const transaction = await signed(testAccount(0), { nonce: nonce++ })
      await client.request({ method: 'eth_sendRawTransaction', params: [toHex(transaction.raw)] })
    }
    await until(async () => {
      await send()
      await new Promise((resolve) => setTimeout(resolve, 100))
      const { snapshots } = (await near.status()) as { snapshots: { kept: string[] } }
      return snapshots.kept.length > 0
    }, 'a snapshot is made')
    const { peerId } = (await near.status()) as { peerId: string }
    const address = `/ip4/127.0.0.1/tcp/${near.role.ports['frames']}/p2p/${peerId}`
    const fresh = await TestNode.start({ trustedPeers: [address], snapshots: { sync: true } })
    await send()
    await until(async () => (await fresh.height()) === origin.ledger.head.number, 'it follows')
    const { snapshots } = (await fresh.status()) as { snapshots: { base: string } }
    assert.ok(BigInt(snapshots.base) > 0n)
    const own = createPublicClient({ transport: http(fresh.url), cacheTime: 0 })
    await until(
      async () => (await own.getTransactionCount({ address: testAccount(0).address })) === nonce,
      'state is there',
    )
    await assert.rejects(own.getBlock({ blockNumber: 1n }), /not kept here: this node began with block \d+/)
    await assert.rejects(own.getLogs({ fromBlock: 0n, toBlock: 5n }), /not kept here/)
    // It survives a restart, and serves what it has to others.
    await fresh.stop()
    await fresh.start()
    await send()
    await until(async () => (await fresh.height()) === origin.ledger.head.number, 'it follows again')
    await fresh.remove()
    await near.remove()
    await origin.stop()
  })
})

describe('a store that is read as it was', () => {
  it('does not see what is written later', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-store-'))
    const store = new LmdbLedgerStore(dir)
    const key = (byte: number) => new Uint8Array(20).fill(byte)
    const put = (byte: number, value: number) =>
      store.write([{ table: 'account', key: key(byte), value: Uint8Array.of(value) }])
    put(1, 1)
    put(2, 1)
    const then = store.readSnapshot()
    for (let round = 2; round < 50; round++) {
      put(1, round)
      put(round, round)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    store.write([{ table: 'account', key: key(2), value: undefined }])
    assert.deepEqual(then.get('account', key(1)), Buffer.of(1))
    assert.deepEqual(then.get('account', key(2)), Buffer.of(1))
    assert.equal(then.get('account', key(3)), undefined)
    assert.equal(then.keys('account', key(0), key(255), 100).length, 2)
    then.close()
    assert.deepEqual(store.get('account', key(1)), Buffer.of(49))
    await store.close()
    await rm(dir, { recursive: true })
  })
})

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice()
  changed[at % changed.length]! ^= 1
  return changed
}
