import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { log, token } from './fake-chain.ts'
import { type Answer, Harness } from './harness.ts'

const call = (id: number, method: string, params?: unknown) => ({ jsonrpc: '2.0', id, method, params })

/** Holds the thread for as long as decoding a large block does. */
function spin(ms: number): void {
  const untilMs = performance.now() + ms
  while (performance.now() < untilMs);
}

describe('expensive requests that are allowed', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({ limits: { searchesAtOnceMax: 1, searchesWaitingMax: 0 } })
    for (let i = 1; i < 40; i++) rpc.chain.append([log(i)])
  })
  after(() => rpc.close())

  /** How often the event loop went round until `work` ended. */
  const turnsDuring = async (work: Promise<unknown>): Promise<number> => {
    let isDone = false
    let turns = 0
    const other = () => {
      turns++
      if (!isDone) setImmediate(other)
    }
    setImmediate(other)
    await work
    isDone = true
    return turns
  }
  const batch = async (length: number) => {
    const requests = Array.from({ length }, (_, id) => call(id, 'eth_getBlockByNumber', ['0x1', true]))
    return (await (await rpc.post(JSON.stringify(requests))).json()) as Answer[]
  }
  /** Makes a chain's function slow while `work` runs. */
  const slowly = async (name: 'block' | 'header' | 'logs' | 'payments', ms: number, work: () => Promise<unknown>) => {
    const quick = rpc.chain[name] as (number: bigint) => never
    let whileOnTurn = 0
    let longest = 0
    const tick = setInterval(() => {
      whileOnTurn = 0
    }, 1)
    rpc.chain[name] = ((number: bigint) => {
      spin(ms)
      longest = Math.max(longest, ++whileOnTurn)
      return quick(number)
    }) as never
    try {
      await work()
    } finally {
      clearInterval(tick)
      rpc.chain[name] = quick as never
    }
    return longest
  }

  it('of a batch are answered in many turns of the event loop', async () => {
    const most = await slowly('block', 8, () => batch(20))
    // Two at a time pass 15 ms; all 20 were one turn.
    assert.ok(most <= 4, `${most} in one turn`)
  })

  it('of many sockets and connections share their turns', async () => {
    const most = await slowly('block', 8, () =>
      Promise.all(Array.from({ length: 20 }, () => rpc.ask('eth_getBlockByNumber', ['0x1', true]))),
    )
    assert.ok(most <= 6, `${most} in one turn`)
  })

  it('of a fee history read headers, with pauses, and no block', async () => {
    rpc.chain.decoded = []
    const most = await slowly('header', 4, () => rpc.result('eth_feeHistory', ['0x14', '0x20']))
    // Four pass 15 ms. What a socket brings and the immediate after it have no timer between them; all 20 were one turn.
    assert.ok(most <= 12, `${most} in one turn`)
    await rpc.result('eth_feeHistory', ['0x14', 'latest', [10, 90]])
    assert.deepEqual(rpc.chain.decoded, [])
  })

  it('wait for each other in one short queue: filters that are asked, histories, searches', async () => {
    const filter = await rpc.result('eth_newFilter', [{ address: token }])
    for (let i = 0; i < 20; i++) rpc.chain.append([log(i)])
    for (const [method, params] of [
      ['eth_getFilterChanges', [filter]],
      ['eth_feeHistory', ['0x28', 'latest', [50]]],
      ['eth_getLogs', [{ fromBlock: '0x0', address: token }]],
    ] as const) {
      await slowly('logs', 10, async () => {
        const search = rpc.ask('eth_getLogs', [{ fromBlock: '0x0', address: token }])
        const errors = (await Promise.all([search, rpc.ask(method, params)])).flatMap(({ error }) => error ?? [])
        // Whichever of the two came second.
        assert.equal(errors.length, 1, method)
        assert.match(errors[0]!.message, /1 searches are being worked on/)
      })
    }
  })

  it('of the pool are written down sender by sender', async () => {
    const senders = Array.from({ length: 100 }, (_, i) => `0x${(i + 1).toString(16).padStart(40, '0')}` as const)
    const { pending } = rpc.chain
    const quick = { senders: pending.senders, content: pending.content }
    Object.assign(pending, {
      senders: () => senders,
      content: () => {
        spin(1)
        return { pending: [rpc.chain.head().transactions[0]!], queued: [] }
      },
    })
    const turns = await turnsDuring(rpc.result('txpool_inspect'))
    Object.assign(pending, quick)
    assert.ok(turns >= 5, `${turns} turns`)
  })
})

describe('a search or a history that takes too long', () => {
  it('is broken off, and told so', async () => {
    const rpc = await Harness.start({ limits: { searchMsMax: 1 } })
    for (let i = 1; i < 10; i++) rpc.chain.append([log(i)])
    const { logs, payments } = rpc.chain
    const slowly = <Value>(quick: (number: bigint) => Value) => {
      return (number: bigint): Value => {
        spin(20)
        return quick(number)
      }
    }
    Object.assign(rpc.chain, { logs: slowly(logs), payments: slowly(payments) })
    const filter = await rpc.result('eth_newFilter', [{ address: token }])
    for (let i = 1; i < 10; i++) rpc.chain.append([log(i)])
    for (const [method, params] of [
      ['eth_feeHistory', ['0x28', 'latest', [50]]],
      ['eth_getLogs', [{ fromBlock: '0x0', address: token }]],
      ['eth_getFilterChanges', [filter]],
    ] as const) {
      const { error } = await rpc.ask(method, params)
      assert.deepEqual([error?.code, error?.message], [-32005, 'broken off after 1 ms; ask for less at a time'])
    }
    assert.equal(await rpc.hits('search_time'), 3)
    // Nothing is lost: the filter has not moved.
    Object.assign(rpc.chain, { logs })
    assert.equal(((await rpc.result('eth_getFilterChanges', [filter])) as unknown[]).length, 9)
    await rpc.close()
  })
})

describe('a batch that takes too long', () => {
  it('gets errors for what is left of it', async () => {
    const rpc = await Harness.start({ limits: { batchMsMax: 1_000 } })
    rpc.chain.onCall = async () => {
      rpc.nowMs.value += 400
      return { kind: 'returned', data: new Uint8Array(0), gasUsed: 1n }
    }
    const requests = Array.from({ length: 5 }, (_, id) => call(id, 'eth_call', [{ to: token }]))
    const answers = (await (await rpc.post(JSON.stringify(requests))).json()) as Answer[]
    assert.deepEqual(
      answers.map(({ id, result, error }) => [id, result ?? error?.code]),
      [
        [0, '0x'],
        [1, '0x'],
        [2, '0x'],
        [3, -32005],
        [4, -32005],
      ],
    )
    assert.match(answers[4]!.error!.message, /the batch took more than 1000 ms/)
    assert.equal(await rpc.hits('batch_time'), 2)
    await rpc.close()
  })
})

describe('a node that began with a snapshot', () => {
  it('has fees and times from there on, as if the chain began with it', async () => {
    const rpc = await Harness.start()
    for (let i = 1; i < 30; i++) rpc.chain.append([])
    rpc.chain.oldest = 25n
    assert.equal(await rpc.result('eth_maxPriorityFeePerGas'), '0x9')
    assert.equal(await rpc.result('eth_gasPrice'), '0x1e')
    const history = (await rpc.result('eth_feeHistory', ['0x14', 'latest', []])) as { oldestBlock: string }
    assert.equal(history.oldestBlock, '0x19')
    const byTime = async (timestamp: bigint, closest: string) => {
      const query = `module=block&action=getblocknobytime&timestamp=${timestamp}&closest=${closest}`
      return ((await (await fetch(`${rpc.url}/api?${query}`)).json()) as { result: string }).result
    }
    const { timestamp } = rpc.chain.block(27n)!
    assert.equal(await byTime(timestamp, 'before'), '27')
    assert.equal(await byTime(0n, 'after'), '25')
    assert.match(await byTime(0n, 'before'), /No closest block/)
    await rpc.close()
  })
})
