import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createPublicClient, type Hash, http, toHex } from 'viem'
import { signed, testAccount } from '../../execution/test/transactions.ts'

/** Starts; all but the last end in a kill. */
const ROUNDS = 4

describe('a validator that is killed', () => {
  let dir: string
  let child: ChildProcess | undefined
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-kill-'))
  })
  after(async () => {
    child?.kill('SIGKILL')
    await rm(dir, { recursive: true })
  })

  const start = async () => {
    const script = new URL('./kill-child.ts', import.meta.url).pathname
    child = spawn(process.execPath, ['--conditions=@cumulus/source', script, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(child.stdout!, 'data')
    return createPublicClient({ transport: http(`http://127.0.0.1:${String(line).trim()}`, { retryCount: 0 }) })
  }
  const kill = async () => {
    const exited = once(child!, 'exit')
    child!.kill('SIGKILL')
    await exited
  }

  it('at any moment has every block whose receipt was seen, and goes on from there', async () => {
    const seen = new Map<Hash, Hash>()
    const account = testAccount(0)
    let nonce = 0
    for (let round = 0; round < ROUNDS; round++) {
      const client = await start()
      const head = await client.getBlockNumber()

      // Whole: every block follows its parent, and what was acknowledged stands where it stood.
      for (let number = head; number > 0n; number--) {
        const block = await client.getBlock({ blockNumber: number })
        assert.equal((await client.getBlock({ blockNumber: number - 1n })).hash, block.parentHash)
      }
      for (const [hash, blockHash] of seen) {
        assert.equal((await client.getTransactionReceipt({ hash })).blockHash, blockHash)
      }
      assert.ok((await client.getTransactionCount({ address: account.address })) >= seen.size)
      if (round === ROUNDS - 1) break

      nonce = await client.getTransactionCount({ address: account.address })
      const sent = await Promise.all(Array.from({ length: 60 }, (_, i) => signed(account, { nonce: nonce + i })))
      const sending = (async () => {
        for (const { raw, hash } of sent) {
          await client.request({ method: 'eth_sendRawTransaction', params: [toHex(raw)] })
          const receipt = await client.request({ method: 'eth_getTransactionReceipt', params: [toHex(hash)] })
          if (receipt) seen.set(toHex(hash), receipt.blockHash)
          for (const one of sent) {
            if (seen.has(toHex(one.hash))) continue
            const known = await client.request({ method: 'eth_getTransactionReceipt', params: [toHex(one.hash)] })
            if (!known) break
            seen.set(toHex(one.hash), known.blockHash)
          }
        }
      })()
      // Somewhere in the stream of blocks, elsewhere in each round.
      await Promise.race([sending.catch(() => {}), setTimeout(150 + 70 * round)])
      await kill()
      await sending.catch(() => {})
    }
    assert.ok(seen.size > 10, `only ${seen.size} receipts were seen`)
  })
})
