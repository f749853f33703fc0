import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Ledger, MemoryLedgerStore } from '@cumulus/ledger'
import { LmdbLedgerStore } from '../src/index.ts'
import { batchNumber, CELLS, KEPT_BLOCKS, openChain } from './kill-chain.ts'

const ROUNDS = 4
/** Made in each round at least: in all more than are kept. */
const BLOCKS = KEPT_BLOCKS + 2

/** The state of a block, with proofs of it. */
async function stateOf(ledger: Ledger, at: bigint) {
  const slots = Array.from({ length: 23 }, (_, slot) => BigInt(slot))
  return { cells: await ledger.prove(CELLS, slots, at), coinbase: ledger.account(`0x${'cc'.repeat(20)}`, at) }
}

describe('a process that is killed while it stores blocks', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-killed-'))
  })
  after(() => rm(dir, { recursive: true }))

  /** Runs the child until it has made its blocks, and a moment longer; returns the last one that it said was stored. */
  const runAndKill = async (momentMs: number): Promise<bigint> => {
    const script = new URL('./kill-child.ts', import.meta.url).pathname
    const child = spawn(process.execPath, ['--conditions=@cumulus/source', script, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const closed = once(child, 'close')
    const said: bigint[] = []
    for await (const line of createInterface(child.stdout)) {
      if (said.push(BigInt(line)) === BLOCKS) void setTimeout(momentMs).then(() => child.kill('SIGKILL'))
    }
    await closed
    assert.ok(said.length >= BLOCKS, `it ended by itself after ${said.length} blocks`)
    return said.at(-1)!
  }

  it('leaves the last whole block, with the state of those before it', async () => {
    const reference = await openChain(new MemoryLedgerStore())
    const past = new Map([[0n, await stateOf(reference, 0n)]])
    for (let round = 0; round < ROUNDS; round++) {
      // Somewhere else in a block each time.
      const said = await runAndKill(7 * round + Math.random() * 20)
      const store = new LmdbLedgerStore(dir)
      const ledger = await openChain(store)
      const { number } = ledger.head
      // A block may have been stored with no time left to say so.
      assert.ok(number === said || number === said + 1n, `head ${number}, said ${said}`)
      while (reference.head.number < number) {
        await reference.execute(await batchNumber(reference.head.number + 1n))
        past.set(reference.head.number, await stateOf(reference, reference.head.number))
      }
      assert.deepEqual(ledger.head, reference.head)
      assert.deepEqual(ledger.mark, Uint8Array.of(Number(number % 256n)))
      assert.equal(ledger.oldestState, number > KEPT_BLOCKS ? number - BigInt(KEPT_BLOCKS) : 0n)
      for (let at = ledger.oldestState; at <= number; at++) {
        assert.deepEqual(await stateOf(ledger, at), past.get(at), `state of block ${at}`)
      }
      await store.close()
    }
  })
})
