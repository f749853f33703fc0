/**
 * Time to root `dirty` changed slots of `leaves`, all in one account or over 500 of them, in LMDB: with what the blocks
 * before left in memory (warm) and with none of it (cold); beside `@ethereumjs/mpt`. Prints one line of JSON for each.
 *
 *     node --conditions=@cumulus/source testing/bench/bench/ledger-root.ts [leaves] [dirty] [leaves of the reference] [rounds]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LmdbLedgerStore } from '@cumulus/execution'
import { EMPTY_CODE_HASH } from '../../../protocol/ledger/src/state/account.ts'
import type { DirtyAccount } from '../../../protocol/ledger/src/state/journaled-state.ts'
import { plainStore } from '../../../protocol/ledger/src/state/ledger-store.ts'
import { readerOf } from '../../../protocol/ledger/src/state/state-reader.ts'
import { StateTrie } from '../../../protocol/ledger/src/trie/state-trie.ts'
import { EMPTY_ROOT } from '../../../protocol/ledger/src/trie/trie.ts'
import { openReferenceTrie } from '../../../protocol/ledger/test/chain/reference.ts'

const [leaves = 500_000, dirty = 1_000, referenceLeaves = 10_000, rounds = 7] = process.argv.slice(2).map(Number)
const FILLED_AT_ONCE = 10_000

/** Runs `work` and tells its processor time and that of the clock, in ms. */
async function timed(work: () => Promise<void> | void): Promise<{ ms: number; cpuMs: number }> {
  const [cpu, start] = [process.cpuUsage(), performance.now()]
  await work()
  const ms = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { ms, cpuMs: (user + system) / 1000 }
}

/** A fixed sequence that jumps about: multiples of a prime modulo the number of leaves. */
function jumps(count: number): () => number[] {
  let step = 1
  return () => Array.from({ length: dirty }, () => (step++ * 7_919) % count)
}

async function measureOurs(accountCount: number, dir: string): Promise<void> {
  const lmdb = new LmdbLedgerStore(dir)
  const store = plainStore(lmdb)
  const addresses = Array.from({ length: accountCount }, (_, i) => {
    const address = new Uint8Array(20).fill(7)
    address[0] = i
    address[1] = i >> 8
    return address
  })
  const storageRoots: Uint8Array[] = addresses.map(() => EMPTY_ROOT)
  let trie = new StateTrie(readerOf(store))
  let root: Uint8Array = EMPTY_ROOT
  let writes: ReturnType<StateTrie['apply']>['writes'] = []
  const apply = async (numbers: readonly number[], value: bigint) => {
    const changed = new Map<number, bigint[]>()
    for (const number of numbers) {
      const index = number % accountCount
      const slots = changed.get(index) ?? []
      changed.set(index, slots)
      slots.push(BigInt(Math.floor(number / accountCount)))
    }
    const accounts = [...changed].map(([index, slots]): DirtyAccount & { readonly index: number } => ({
      index,
      address: addresses[index]!,
      nonce: 1n,
      balance: value,
      storageRoot: storageRoots[index]!,
      codeHash: EMPTY_CODE_HASH,
      newCode: undefined,
      slots: slots.map((slot) => ({ slot, value })),
    }))
    const time = await timed(() => {
      const applied = trie.apply(accounts)
      root = applied.root
      for (const account of accounts) storageRoots[account.index] = applied.storageRoots.get(account)!
      writes = applied.writes
    })
    store.write(writes)
    return time
  }
  for (let from = 0; from < leaves; from += FILLED_AT_ONCE) {
    const count = Math.min(FILLED_AT_ONCE, leaves - from)
    await apply(
      Array.from({ length: count }, (_, i) => from + i),
      1n,
    )
  }
  const next = jumps(leaves)
  const [warm, cold]: [object[], object[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    warm.push(await apply(next(), BigInt(2 * round + 2)))
    trie = new StateTrie(readerOf(store), root)
    cold.push(await apply(next(), BigInt(2 * round + 3)))
  }
  const place = accountCount === 1 ? 'one account' : `${accountCount} accounts`
  const print = (memory: string, times: object[]) =>
    process.stdout.write(
      `${JSON.stringify({ case: `${dirty} of ${leaves} slots, ${place}, ${memory}`, dirty, rounds: times, checksum: root.toHex() })}\n`,
    )
  print('warm', warm)
  print('cold', cold)
  await lmdb.close()
}

async function measureReference(): Promise<void> {
  const reference = await openReferenceTrie()
  for (let i = 0; i < referenceLeaves; i++) await reference.put(BigInt(i), 1)
  const next = jumps(referenceLeaves)
  const times: object[] = []
  for (let round = 0; round < rounds; round++) {
    const numbers = next()
    times.push(
      await timed(async () => {
        for (const number of numbers) await reference.put(BigInt(number), round + 2)
      }),
    )
  }
  const name = `@ethereumjs/mpt, ${dirty} of ${referenceLeaves} slots, in memory`
  process.stdout.write(
    `${JSON.stringify({ case: name, dirty, isReference: true, rounds: times, checksum: reference.root().toHex() })}\n`,
  )
}

const dir = await mkdtemp(join(tmpdir(), 'cumulus-bench-'))
try {
  await measureReference()
  await measureOurs(1, join(dir, 'one'))
  await measureOurs(500, join(dir, 'many'))
} finally {
  await rm(dir, { recursive: true })
}
