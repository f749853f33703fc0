import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { log, token } from './fake-chain.ts'
import { type Answer, Harness } from './harness.ts'

const call = (id: unknown, method = 'eth_blockNumber', params?: unknown) => ({ jsonrpc: '2.0', id, method, params })

describe('an RPC server over HTTP', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({
      limits: {
        bodyBytesMax: 65_536,
        batchLengthMax: 10,
        batchResponseBytesMax: 5_000,
        calldataBytesMax: 1_024,
        logRangeBlocksMax: 8,
        logCountMax: 6,
        filtersMax: 3,
        filterIdleMs: 1_000,
        filterBacklogMax: 4,
        callsAtOnceMax: 1,
        callsWaitingMax: 1,
      },
      access: { corsOrigins: ['https://wallet.example'], hosts: ['rpc.example'] },
    })
  })
  after(() => rpc.close())

  it('answers a batch in its order, errors among results, and leaves notifications unanswered', async () => {
    const batch = [call(1), call('two', 'eth_nothing'), { jsonrpc: '2.0', method: 'eth_blockNumber' }, 7, call(null)]
    const answers = (await (await rpc.post(JSON.stringify(batch))).json()) as Answer[]
    assert.deepEqual(
      answers.map(({ id, result, error }) => [id, result ?? error?.code]),
      [
        [1, '0x0'],
        ['two', -32601],
        [null, -32600],
        [null, '0x0'],
      ],
    )
    const silent = await rpc.post(JSON.stringify({ jsonrpc: '2.0', method: 'eth_blockNumber' }))
    assert.deepEqual([silent.status, await silent.text()], [204, ''])
  })

  it('refuses what is no request', async () => {
    const bad: [string, number][] = [
      ['{"method":', -32700],
      ['[]', -32600],
      ['5', -32600],
      ['{"id":1}', -32600],
      ['{"id":{},"method":"eth_chainId"}', -32600],
      [`{"id":1,"method":"eth_chainId","params":${'['.repeat(40)}${']'.repeat(40)}}`, -32005],
    ]
    for (const [body, code] of bad) {
      const { error } = (await (await rpc.post(body)).json()) as Answer
      assert.equal(error?.code, code, body.slice(0, 40))
    }
  })

  it('refuses a batch bomb as a whole', async () => {
    const { error } = (await (
      await rpc.post(JSON.stringify(Array.from({ length: 11 }, (_, i) => call(i))))
    ).json()) as Answer
    assert.deepEqual([error?.code, await rpc.hits('batch_length')], [-32005, 1])
  })

  it('stops answering a batch whose answers grow too large', async () => {
    const blocks = Array.from({ length: 10 }, (_, i) => call(i, 'eth_getBlockByNumber', ['latest', true]))
    const answers = (await (await rpc.post(JSON.stringify(blocks))).json()) as Answer[]
    assert.equal(answers.length, 10)
    assert.ok(answers[0]!.result)
    assert.equal(answers.at(-1)!.error?.code, -32005)
  })

  it('refuses a body over the limit, whether announced or not', async () => {
    const announced = await rpc.post(' '.repeat(65_537))
    assert.equal(announced.status, 413)
    assert.match(((await announced.json()) as Answer).error!.message, /more than 65536 bytes/)
    const status = await new Promise<number>((resolve, reject) => {
      const chunked = request(
        rpc.url,
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        (response) => {
          response.resume()
          resolve(response.statusCode!)
        },
      )
      chunked.on('error', reject)
      chunked.write(' '.repeat(40_000))
      chunked.write(' '.repeat(40_000))
    })
    assert.equal(status, 413)
    assert.equal(await rpc.hits('body_bytes'), 2)
  })

  it('refuses huge calldata in calls and in transactions', async () => {
    const data = `0x${'00'.repeat(1_025)}`
    assert.equal((await rpc.ask('eth_call', [{ to: token, data }])).error?.code, -32005)
    assert.equal((await rpc.ask('eth_sendRawTransaction', [data])).error?.code, -32005)
    assert.equal(await rpc.hits('calldata'), 2)
  })

  it('refuses a log search over too many blocks or with too many results', async () => {
    for (let i = 1; i <= 9; i++) rpc.chain.append([log(i)])
    const range = await rpc.ask('eth_getLogs', [{ fromBlock: '0x0', toBlock: '0x8' }])
    assert.match(range.error!.message, /9 blocks, at most 8/)
    const count = await rpc.ask('eth_getLogs', [{ fromBlock: '0x2', toBlock: '0x9' }])
    assert.match(count.error!.message, /more than 6 logs/)
    assert.deepEqual([await rpc.hits('log_range'), await rpc.hits('log_count')], [1, 1])
  })

  it('lets few calls wait behind those that run', async () => {
    const release = Promise.withResolvers<void>()
    rpc.chain.onCall = async () => {
      await release.promise
      return { kind: 'returned', data: new Uint8Array(0), gasUsed: 1n }
    }
    const three = [1, 2, 3].map(() => rpc.ask('eth_call', [{ to: token }]))
    // One runs, one waits: whichever comes last is refused at once, before the others are done.
    const { error } = await Promise.race(three)
    assert.equal(error?.code, -32005)
    release.resolve()
    const outcomes = (await Promise.all(three)).map(({ result }) => result)
    assert.deepEqual(outcomes.filter((result) => result === '0x').length, 2)
  })

  describe('with filters', () => {
    it('tells each change once', async () => {
      const logs = await rpc.result('eth_newFilter', [{ address: token }])
      const blocks = await rpc.result('eth_newBlockFilter')
      const pending = await rpc.result('eth_newPendingTransactionFilter')
      rpc.chain.append([log(1), log(2)])
      rpc.chain.announce('0x01')
      const changes = async (id: unknown) => ((await rpc.result('eth_getFilterChanges', [id])) as unknown[]).length
      assert.deepEqual([await changes(logs), await changes(blocks), await changes(pending)], [2, 1, 1])
      assert.deepEqual([await changes(logs), await changes(blocks), await changes(pending)], [0, 0, 0])
      assert.equal(((await rpc.result('eth_getFilterLogs', [logs])) as unknown[]).length, 2)
      for (const id of [logs, blocks, pending]) assert.equal(await rpc.result('eth_uninstallFilter', [id]), true)
      assert.equal(await rpc.result('eth_uninstallFilter', [logs]), false)
      assert.equal(rpc.chain.listenerCount, 0)
    })

    it('catches up in steps after a long silence, without a gap', async () => {
      const id = await rpc.result('eth_newBlockFilter')
      const hashes = Array.from({ length: 20 }, () => rpc.chain.append([]).hash)
      const seen: unknown[] = []
      for (let i = 0; i < 3; i++) seen.push(...((await rpc.result('eth_getFilterChanges', [id])) as unknown[]))
      assert.deepEqual(seen, hashes)
      await rpc.result('eth_uninstallFilter', [id])
    })

    it('takes no more than the limit, and forgets those that nobody asks', async () => {
      const ids = await Promise.all([1, 2, 3].map(() => rpc.result('eth_newBlockFilter')))
      assert.equal((await rpc.ask('eth_newBlockFilter')).error?.code, -32005)
      assert.equal(await rpc.hits('filters'), 1)
      rpc.nowMs.value += 900
      await rpc.result('eth_getFilterChanges', [ids[0]])
      rpc.nowMs.value += 200
      await rpc.result('eth_newBlockFilter')
      assert.equal(rpc.server.counts.filters, 2)
      assert.match((await rpc.ask('eth_getFilterChanges', [ids[1]])).error!.message, /filter not found/)
      rpc.nowMs.value += 5_000
    })

    it('drops a pending filter that is never read', async () => {
      const id = await rpc.result('eth_newPendingTransactionFilter')
      for (let i = 0; i < 5; i++) rpc.chain.announce(`0x0${i}`)
      assert.match((await rpc.ask('eth_getFilterChanges', [id])).error!.message, /filter not found/)
      assert.equal(await rpc.hits('filter_backlog'), 1)
      assert.equal(rpc.chain.listenerCount, 0)
    })
  })

  describe('for browsers', () => {
    it('lets the listed origin read, and no other', async () => {
      const origin = async (value: string) =>
        (await rpc.post(JSON.stringify(call(1)), { origin: value })).headers.get('access-control-allow-origin')
      assert.equal(await origin('https://wallet.example'), 'https://wallet.example')
      assert.equal(await origin('https://evil.example'), null)
      const preflight = await fetch(rpc.url, { method: 'OPTIONS', headers: { origin: 'https://wallet.example' } })
      assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-headers')], [204, 'content-type'])
    })

    it('refuses the content types that pages may send without asking', async () => {
      const plain = await fetch(rpc.url, {
        method: 'POST',
        body: JSON.stringify(call(1)),
        headers: { 'content-type': 'text/plain' },
      })
      assert.equal(plain.status, 415)
    })

    it('refuses foreign host names, as DNS rebinding brings them', async () => {
      const status = (host: string) =>
        new Promise<string>((resolve, reject) => {
          const socket = connect(rpc.server.port, '127.0.0.1', () => {
            socket.write(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
          })
          let text = ''
          socket
            .on('data', (chunk) => (text += chunk))
            .on('close', () => resolve(text.slice(9, 12)))
            .on('error', reject)
        })
      assert.equal(await status('127.0.0.1:8545'), '200')
      assert.equal(await status('localhost'), '200')
      assert.equal(await status('[::1]:1'), '200')
      assert.equal(await status('rpc.example'), '200')
      assert.equal(await status('evil.example'), '403')
    })
  })

  it('answers health, and nothing else by GET', async () => {
    assert.deepEqual(await (await fetch(`${rpc.url}/health`)).json(), { ok: true, checks: [] })
    assert.equal((await fetch(rpc.url)).status, 404)
    assert.equal((await fetch(rpc.url, { method: 'DELETE' })).status, 405)
  })

  it('says which port is taken', async () => {
    await assert.rejects(
      (async () => {
        const { startRpcServer } = await import('../src/server.ts')
        const { createLogger, createMetrics } = await import('@cumulus/service')
        const log = createLogger({ name: 'rpc', write: () => {} })
        const components = { chain: rpc.chain, log, metrics: createMetrics({ process: false }) }
        await startRpcServer(
          { ...components, health: () => ({ ok: true, checks: [] }) },
          { host: '127.0.0.1', port: rpc.server.port },
        )
      })(),
      { code: 'PORT_TAKEN' },
    )
  })
})
