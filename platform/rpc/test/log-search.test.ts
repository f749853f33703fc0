import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { BloomQuery } from '../src/bloom.ts'
import type { ViewLog } from '../src/chain-view.ts'
import type { LogFilter } from '../src/decode.ts'
import { matches, searchLogs } from '../src/log-search.ts'
import { Turns } from '../src/turns.ts'
import { bloomOf, FakeChain, log, word } from './fake-chain.ts'

const anyAddress = fc.constantFrom<Address>(`0x${'01'.repeat(20)}`, `0x${'02'.repeat(20)}`, `0x${'03'.repeat(20)}`)
const anyTopic = fc.integer({ min: 0, max: 4 }).map(word)
const anyLog: fc.Arbitrary<ViewLog> = fc.record({
  address: anyAddress,
  topics: fc.array(anyTopic, { maxLength: 4 }),
  data: fc.constant(new Uint8Array(0)),
})
const anyFilter: fc.Arbitrary<LogFilter> = fc.record({
  addresses: fc.option(
    fc.uniqueArray(anyAddress, { minLength: 1 }).map((all) => new Set(all)),
    { nil: undefined },
  ),
  topics: fc.array(fc.option(fc.array(anyTopic, { minLength: 1, maxLength: 3 }), { nil: undefined }), { maxLength: 4 }),
})

const everything: LogFilter = { addresses: undefined, topics: [] }
const unhurried = () => new Turns({ limit: 'search_time', msMax: 60_000, advice: 'ask for less' })

describe('a log filter', () => {
  it('never misses a matching log because of a bloom', () => {
    fc.assert(
      fc.property(fc.array(anyLog, { maxLength: 5 }), anyFilter, (logs, filter) => {
        if (logs.some((one) => matches(filter, one))) assert.ok(new BloomQuery(filter).mayMatch(bloomOf(logs)))
      }),
    )
  })

  it('finds the same logs as looking at each of them, in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyLog, { maxLength: 3 }), { maxLength: 8 }),
        anyFilter,
        async (blocks, filter) => {
          const chain = new FakeChain()
          for (const logs of blocks) chain.append(logs)
          const found = await searchLogs(
            chain,
            filter,
            0n,
            chain.head().number,
            { logCountMax: 1_000, logBytesMax: 1_000_000 },
            unhurried(),
          )
          const expected = blocks.flatMap((logs, index) =>
            logs.flatMap((one, logIndex) => (matches(filter, one) ? [[index + 1, logIndex]] : [])),
          )
          assert.deepEqual(
            found.map(({ blockNumber, logIndex }) => [Number(blockNumber), Number(logIndex)]),
            expected,
          )
        },
      ),
      { numRuns: 50 },
    )
  })

  it('with more positions than a log has topics does not match it', () => {
    assert.equal(matches({ addresses: undefined, topics: [undefined, undefined, undefined] }, log(1)), false)
    assert.equal(matches({ addresses: undefined, topics: [undefined, undefined] }, log(1)), true)
  })

  it('that finds too much is refused, not cut', async () => {
    const chain = new FakeChain()
    for (let i = 0; i < 5; i++) chain.append([log(1), log(2)])
    await assert.rejects(searchLogs(chain, everything, 0n, 5n, { logCountMax: 9, logBytesMax: 1_000 }, unhurried()), {
      code: 'LIMIT_EXCEEDED',
    })
  })

  describe('over blocks that take long to decode', () => {
    const limits = { logCountMax: 1_000, logBytesMax: 1_000_000 }
    /** Each block that is looked into costs 10 ms of a clock that stands still otherwise. */
    function slowChain(blocks: number) {
      const chain = new FakeChain()
      for (let i = 1; i <= blocks; i++) chain.append([log(i)])
      const clock = { nowMs: 0 }
      const { logs } = chain
      chain.logs = (number) => {
        clock.nowMs += 10
        return logs(number)
      }
      return { chain, nowMs: () => clock.nowMs }
    }

    it('lets others on every other block, and decodes of none more than its receipts', async () => {
      const { chain, nowMs } = slowChain(20)
      const turns = new Turns({ limit: 'search_time', msMax: 10_000, advice: 'ask for less', nowMs })
      let isDone = false
      let others = 0
      const other = () => {
        others++
        if (!isDone) setImmediate(other)
      }
      setImmediate(other)
      const found = await searchLogs(chain, everything, 1n, 20n, limits, turns)
      isDone = true
      assert.equal(found.length, 20)
      assert.ok(others >= 9, `${others} turns`)
      assert.deepEqual(chain.decoded, [])
    })

    it('ends when its time is up, and says so', async () => {
      const { chain, nowMs } = slowChain(20)
      const turns = new Turns({ limit: 'search_time', msMax: 100, advice: 'ask for fewer blocks', nowMs })
      await assert.rejects(searchLogs(chain, everything, 1n, 20n, limits, turns), {
        code: 'LIMIT_EXCEEDED',
        limit: 'search_time',
        message: 'broken off after 100 ms; ask for fewer blocks',
      })
    })

    it('ends when its asker has gone', async () => {
      const { chain, nowMs } = slowChain(20)
      const gone = new AbortController()
      const { signal } = gone
      const turns = new Turns({ limit: 'search_time', msMax: 10_000, advice: 'ask for less', nowMs, signal })
      const search = searchLogs(chain, everything, 1n, 20n, limits, turns)
      gone.abort(new Error('gone'))
      await assert.rejects(search, /gone/)
    })
  })
})
