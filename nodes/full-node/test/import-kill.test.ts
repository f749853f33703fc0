import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { LmdbLedgerStore } from '@cumulus/execution'
import { type LedgerStore, type LedgerTable, snapshotBase, snapshotProgress } from '@cumulus/ledger'
import { type FrameHandler, FrameOp } from '@cumulus/network'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { SnapshotKeeper } from '../src/snapshot-keeper.ts'
import { GENESIS_MS, openTestLedger, quiet, TestChain, TestNetwork, until } from './test-chain.ts'

const CONTRACTS = 450
const CODE_BYTES = 20_000
const KILLS = 3
/** Chunks that a child reads before it is killed. */
const MORE = 2
/** More than fit into one chunk, so that an account is continued. */
const SLOTS = 20_000

/** Some eleven chunks: contracts with codes of their own, and one with many slots. */
function manyContracts() {
  const contract = (index: number) => {
    const code = new Uint8Array(CODE_BYTES).fill(index & 0xff)
    code[1] = index >> 8
    const count = index === 0 ? SLOTS : 3
    const storage = Array.from({ length: count }, (_, slot) => ({ slot: BigInt(slot), value: BigInt(slot + 1) ** 5n }))
    return { code, storage }
  }
  const addressOf = (index: number): Address => `0x${(0xabc0000 + index).toString(16).padStart(40, '0')}`
  return Object.fromEntries(Array.from({ length: CONTRACTS }, (_, index) => [addressOf(index), contract(index)]))
}

/** All rows of a table. */
function rowsOf(store: Pick<LedgerStore, 'get' | 'keys'>, table: LedgerTable): string[] {
  const keys = store.keys(table, new Uint8Array(0), new Uint8Array(255).fill(0xff), 1_000_000)
  return keys.map((key) => Uint8Array.from(key)).map((key) => `${key.toHex()} ${store.get(table, key)!.toHex()}`)
}

describe('a process that is killed while it reads a snapshot', () => {
  let dir: string
  let chain: TestChain
  let keeper: SnapshotKeeper
  const network = new TestNetwork()
  const genesis = manyContracts()
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-import-'))
    chain = await TestChain.create(genesis)
    const { store } = chain
    const readSnapshot = () => Object.assign(store.clone(), { close() {} })
    keeper = new SnapshotKeeper(
      { dir: join(dir, 'keeper'), params: minimal, genesisMs: GENESIS_MS, readSnapshot, log: quiet },
      { restMs: 1, intervalMsMin: 0 },
    )
    await keeper.open()
    while (chain.ledger.head.number < 8n) {
      await chain.grow(1)
      keeper.onBlock(chain.ledger.head)
    }
    await until(() => keeper.heights[0] === 8n, 'a snapshot is made')
  })
  after(async () => {
    await network.close()
    await keeper.close()
    await rm(dir, { recursive: true })
  })

  it('goes on where it was, and ends with the state of the block', async () => {
    // One chunk after the other, and none after the third until the child is dead: however late the kill, there is more to read.
    let turn: Promise<unknown> = Promise.resolve()
    let served = 0
    let dead = Promise.withResolvers<void>()
    const getChunk: FrameHandler = async (frame, session) => {
      const isHeld = ++served > MORE + 1
      turn = turn.then(() => setTimeout(20))
      await turn
      if (isHeld) await dead.promise
      return keeper.handlers[FrameOp.getSnapshotChunk]!(frame, session)
    }
    const handlers = { ...keeper.handlers, [FrameOp.getSnapshotChunk]: getChunk }
    const { identity, listener } = await network.serve(chain, { handlers })
    const folder = join(dir, 'node')
    const script = new URL('./import-child.ts', import.meta.url).pathname
    const parameters = [folder, chain.ledger.genesisHash.toHex(), identity.publicKey.toHex(), String(listener.port)]

    /** Kills the child at some moment after it has read `MORE` chunks, or lets it read all. Returns what it said. */
    const run = async ({ kill }: { kill: boolean }): Promise<string[]> => {
      dead = Promise.withResolvers()
      served = 0
      if (!kill) dead.resolve()
      const child = spawn(process.execPath, ['--conditions=@cumulus/source', script, ...parameters], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      const lines: string[] = []
      for await (const line of createInterface(child.stdout)) {
        lines.push(line)
        if (!kill || Number(line) < Number(lines[0]) + MORE) continue
        await setTimeout(Math.random() * 40)
        child.kill('SIGKILL')
      }
      await closed
      dead.resolve()
      return lines
    }

    let known = 0
    for (let kills = 0; kills < KILLS; kills++) {
      const lines = await run({ kill: true })
      assert.ok(Number(lines[0]) >= known, `begun with ${lines[0]} chunks, ${known} were in`)
      known = Number(lines.at(-1))
      assert.ok(known >= (kills + 1) * MORE, `it ended with ${lines.at(-1)}`)
    }
    const lines = await run({ kill: false })
    assert.ok(Number(lines[0]) >= known, `begun with ${lines[0]} chunks, ${known} were in`)
    assert.equal(lines.at(-1), 'block 8')
    const store = new LmdbLedgerStore(folder)
    try {
      assert.equal(snapshotProgress(store), undefined)
      assert.equal(snapshotBase(store), 8n)
      for (const table of ['account', 'slot', 'code', 'node'] as const) {
        assert.deepEqual(rowsOf(store, table), rowsOf(chain.store, table), table)
      }
      const ledger = await openTestLedger(store, genesis)
      assert.deepEqual(ledger.head, chain.ledger.head)
    } finally {
      await store.close()
    }
  })
})
