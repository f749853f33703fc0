import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { createPublicClient, encodeErrorResult, http, parseAbi } from 'viem'
import { alice, log, token, word } from './fake-chain.ts'
import { Harness } from './harness.ts'

describe('the method table', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({
      limits: { logRangeBlocksMax: 8, logCountMax: 6, feeHistoryBlocksMax: 4, proofKeysMax: 2 },
    })
    for (let i = 1; i <= 5; i++) rpc.chain.append([log(i)])
  })
  after(() => rpc.close())

  it('answers requests without params', async () => {
    assert.equal(await rpc.result('eth_chainId'), '0x69df')
    assert.equal(await rpc.result('net_version'), '27103')
    assert.equal(await rpc.result('eth_blockNumber', null), '0x5')
    assert.deepEqual(await rpc.result('eth_accounts'), [])
    assert.equal(await rpc.result('eth_syncing'), false)
    assert.deepEqual(await rpc.result('txpool_status'), { pending: '0x2', queued: '0x1' })
    assert.deepEqual(await rpc.result('cumulus_status'), { height: '5' })
  })

  it('knows an unknown method by exactly -32601, also one that every object has', async () => {
    for (const method of ['eth_fillTransaction', 'constructor', '__proto__', 'toString', '']) {
      assert.equal((await rpc.ask(method)).error?.code, -32601, method)
    }
  })

  it('shows blocks, transactions and receipts as viem reads them', async () => {
    const client = createPublicClient({ transport: http(rpc.url) })
    const block = await client.getBlock({ blockNumber: 3n, includeTransactions: true })
    assert.equal(block.hash, rpc.chain.block(3n)!.hash)
    assert.equal(block.transactions[0]!.maxFeePerGas, 100n)
    assert.equal(block.transactions[0]!.gasPrice, 29n)
    assert.equal((await client.getBlock({ blockHash: block.hash! })).number, 3n)
    const { hash } = block.transactions[0]!
    assert.equal((await client.getTransaction({ hash })).blockNumber, 3n)
    const receipt = await client.getTransactionReceipt({ hash })
    assert.deepEqual([receipt.status, receipt.gasUsed, receipt.logs.length], ['success', 50_000n, 1])
    assert.equal(await client.getBlockTransactionCount({ blockHash: block.hash! }), 1)
    assert.equal(await client.getBalance({ address: alice }), 1_000n)
    assert.equal(await client.getTransactionCount({ address: alice }), 3)
    assert.equal(await client.getTransactionCount({ address: alice, blockTag: 'pending' }), 5)
    assert.equal(await client.getStorageAt({ address: alice, slot: '0x4' }), word(8))
    const proof = await client.getProof({ address: alice, storageKeys: [word(7)] })
    assert.equal(proof.storageProof[0]?.value, 14n)
  })

  it('has null for what is not there', async () => {
    assert.equal(await rpc.result('eth_getBlockByNumber', ['0x99', false]), null)
    assert.equal(await rpc.result('eth_getBlockByHash', [word(1)]), null)
    assert.equal(await rpc.result('eth_getTransactionByHash', [word(1)]), null)
    assert.equal(await rpc.result('eth_getTransactionReceipt', [word(1)]), null)
    assert.equal(await rpc.result('eth_getBlockTransactionCountByNumber', ['0x99']), null)
  })

  it('says when a state is not kept, and when a block is not there yet', async () => {
    assert.match((await rpc.ask('eth_getBalance', [alice, '0x1'])).error!.message, /state of block 1 is not kept/)
    assert.equal((await rpc.ask('eth_getBalance', [alice, '0x99'])).error!.code, -32001)
    assert.equal(await rpc.result('eth_getBalance', [alice, { blockHash: rpc.chain.head().hash }]), '0x3e8')
    assert.equal(await rpc.result('eth_getBalance', [alice, 'finalized']), '0x3e8')
  })

  it('gives revert data as one hex string, from calls and from estimates', async () => {
    const abi = parseAbi(['error Error(string reason)'])
    const data = encodeErrorResult({ abi, errorName: 'Error', args: ['not today'] })
    rpc.chain.onCall = async () => ({ kind: 'reverted', data: hexToBytes(data), gasUsed: 30_000n })
    for (const method of ['eth_call', 'eth_estimateGas']) {
      const { error } = await rpc.ask(method, [{ to: token, data: '0x12345678' }, 'latest'])
      assert.deepEqual(error, { code: 3, message: 'execution reverted: not today', data })
    }
    rpc.chain.onCall = async () => ({ kind: 'failed', reason: 'out of gas', gasUsed: 30_000n })
    assert.deepEqual((await rpc.ask('eth_call', [{ to: token }])).error, { code: -32000, message: 'out of gas' })
  })

  it('caps the gas of calls', async () => {
    let gas: bigint | undefined
    rpc.chain.onCall = async (request) => {
      gas = request.gas
      return { kind: 'returned', data: Uint8Array.of(9), gasUsed: 1n }
    }
    assert.equal(await rpc.result('eth_call', [{ to: token, gas: '0xffffffffffff' }, 'latest', {}]), '0x09')
    assert.equal(gas, 30_000_000n)
  })

  it('reads state and block overrides, and refuses what it does not know instead of ignoring it', async () => {
    const state = { [token]: { balance: '0x5', nonce: '0x2', code: '0xfe', stateDiff: { [word(1)]: word(2) } } }
    await rpc.result('eth_call', [{ to: token }, 'latest', state, { number: '0x9', time: '0x7', baseFeePerGas: '0x3' }])
    const { accounts, block } = rpc.chain.overrides!
    const { balance, nonce, code, stateDiff } = accounts!.get(token)!
    assert.deepEqual([balance, nonce, code, stateDiff], [5n, 2n, Uint8Array.of(0xfe), new Map([[1n, 2n]])])
    assert.deepEqual([block!.number, block!.timestamp, block!.baseFee, block!.coinbase], [9n, 7n, 3n, undefined])
    const wrong: [unknown, unknown, RegExp][] = [
      [{ [token]: { balans: '0x1' } }, null, /has a field "balans"; known are balance/],
      [{ [token]: { state: {}, stateDiff: {} } }, null, /both state and stateDiff/],
      [{ '0x12': {} }, null, /must be an address/],
      [{ [token]: { state: { '0x01zz': '0x1' } } }, null, /must be a number in hex/],
      [null, { blobBaseFee: '0x1' }, /has a field "blobBaseFee"/],
    ]
    for (const [accountOverrides, blockOverrides, message] of wrong) {
      const { error } = await rpc.ask('eth_call', [{ to: token }, 'latest', accountOverrides, blockOverrides])
      assert.equal(error?.code, -32602)
      assert.match(error.message, message)
    }
    const many = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`0x${i.toString(16).padStart(40, '0')}`, {}]),
    )
    assert.equal((await rpc.ask('eth_call', [{ to: token }, 'latest', many])).error?.code, -32005)
  })

  it('shows what waits, by sender and nonce', async () => {
    const first = rpc.chain.head().transactions[0]!
    rpc.chain.waitingTransactions = [
      { ...first, nonce: 5n, hash: word(50) },
      { ...first, nonce: 7n, hash: word(70) },
    ]
    const content = (await rpc.result('txpool_content')) as { pending: object; queued: object }
    assert.deepEqual(Object.keys(content.pending), [alice])
    const from = (await rpc.result('txpool_contentFrom', [alice])) as {
      queued: Record<string, { hash: string; blockHash: null }>
    }
    assert.deepEqual([from.queued['7']!.hash, from.queued['7']!.blockHash], [word(70), null])
    const inspect = (await rpc.result('txpool_inspect')) as { pending: Record<string, Record<string, string>> }
    assert.equal(inspect.pending[alice]!['5'], `${token}: 5 wei + 100000 gas × 100 wei`)
    rpc.chain.waitingTransactions = []
  })

  it('passes traces on in geth’s words, and refuses tracers and options that it does not know', async () => {
    const { hash, transactions, number } = rpc.chain.head()
    const of = transactions[0]!.hash
    const at = `0x${number.toString(16)}`
    assert.deepEqual(await rpc.result('debug_traceTransaction', [of]), { hash: of, config: {} })
    const calls = { tracer: 'callTracer', tracerConfig: { withLog: true }, timeout: '5s' }
    const callConfig = { tracer: 'callTracer', withLog: true }
    assert.deepEqual(await rpc.result('debug_traceTransaction', [of, calls]), { hash: of, config: callConfig })
    assert.deepEqual(await rpc.result('debug_traceBlockByNumber', [at, calls]), [{ hash: of, config: callConfig }])
    assert.deepEqual(await rpc.result('debug_traceBlockByHash', [hash, { disableStack: true, limit: '0x0' }]), [
      { hash: of, config: { disableStack: true } },
    ])
    const overrides = { stateOverrides: { [token]: { balance: '0x9' } }, blockOverrides: { number: '0x7' } }
    assert.deepEqual(await rpc.result('debug_traceCall', [{ to: token }, 'latest', { ...calls, ...overrides }]), {
      to: token,
      config: callConfig,
    })
    assert.equal(rpc.chain.overrides!.accounts!.get(token)!.balance, 9n)
    assert.equal(rpc.chain.overrides!.block!.number, 7n)
    const wrong: [unknown, RegExp][] = [
      [{ tracer: '{ step: function() {} }' }, /no tracer/],
      [{ tracer: 'prestateTracer' }, /no tracer "prestateTracer"/],
      [{ enableStack: true }, /has a field "enableStack"/],
      [{ tracer: 'callTracer', tracerConfig: { withLog: 1 } }, /withLog must be true or false/],
    ]
    for (const [config, message] of wrong) {
      const { error } = await rpc.ask('debug_traceTransaction', [of, config])
      assert.equal(error?.code, -32602)
      assert.match(error.message, message)
    }
    assert.match((await rpc.ask('debug_traceTransaction', [word(1)])).error!.message, /transaction not found/)
    assert.equal((await rpc.ask('debug_traceBlockByNumber', ['0x999'])).error?.code, -32001)
  })

  it('estimates for the block that comes next, unless a block is named', async () => {
    const { number, timestamp } = rpc.chain.head()
    for (const method of ['eth_estimateGas']) {
      await rpc.ask(method, [{ to: token }])
      assert.equal(rpc.chain.overrides!.block!.number, number + 1n)
      assert.ok(rpc.chain.overrides!.block!.timestamp! > timestamp)
      await rpc.ask(method, [{ to: token }, 'latest', null, { number: '0x63' }])
      assert.equal(rpc.chain.overrides!.block!.number, 99n)
      await rpc.ask(method, [{ to: token }, { blockHash: rpc.chain.head().hash }])
      assert.equal(rpc.chain.overrides!.block, undefined)
    }
  })

  it('knows the smaller methods that libraries and explorers ask', async () => {
    const { hash, number, transactions } = rpc.chain.head()
    const at = `0x${number.toString(16)}`
    assert.equal(await rpc.result('net_peerCount'), '0x3')
    assert.equal(
      await rpc.result('web3_sha3', ['0x68656c6c6f20776f726c64']),
      '0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad',
    )
    assert.equal(await rpc.result('eth_blobBaseFee'), '0x1')
    assert.equal(await rpc.result('eth_getUncleCountByBlockHash', [hash]), '0x0')
    assert.equal(await rpc.result('eth_getUncleCountByBlockNumber', ['0x999']), null)
    assert.equal(await rpc.result('eth_getUncleByBlockNumberAndIndex', [at, '0x0']), null)
    assert.equal(((await rpc.result('eth_getHeaderByHash', [hash])) as { number: string }).number, at)
    assert.equal(await rpc.result('eth_getRawTransactionByHash', [transactions[0]!.hash]), '0x02c0')
    assert.equal(await rpc.result('eth_getRawTransactionByHash', [word(1)]), null)
    assert.equal(await rpc.result('debug_getRawBlock', [at]), '0xc1')
    assert.deepEqual(await rpc.result('debug_getRawReceipts', ['latest']), ['0xc2'])
    assert.deepEqual(await rpc.result('eth_getStorageValues', [{ [alice]: ['0x4', '0x5'] }, 'latest']), {
      [alice]: [word(8), word(10)],
    })
    assert.deepEqual(await rpc.result('eth_createAccessList', [{ to: token }]), {
      accessList: [{ address: token, storageKeys: [word(1)] }],
      gasUsed: '0x7530',
    })
  })

  it('names the parameter that is wrong', async () => {
    const wrong: [string, unknown[], RegExp][] = [
      ['eth_getBalance', [], /parameter 1 must be an address of 20 bytes, not nothing/],
      ['eth_getBalance', ['0x12'], /parameter 1 must be an address/],
      ['eth_getBalance', [alice, 'newest'], /parameter 2 must be a block number/],
      ['eth_getTransactionByHash', [5], /parameter 1 must be a hash/],
      ['eth_call', [[]], /parameter 1 must be an object/],
      ['eth_call', [{ to: token, data: '0x123' }], /parameter 1\.data must be bytes/],
      ['eth_getLogs', [{ fromBlock: '0x2', blockHash: word(1) }], /both blockHash and a range/],
      ['eth_getLogs', [{ topics: [word(1), [word(2), 3]] }], /topics\[1\]\[1\] must be a hash/],
      ['eth_getLogs', [{ fromBlock: '0x5', toBlock: '0x2' }], /ends \(2\) before it begins \(5\)/],
      ['eth_feeHistory', ['0x2', 'latest', [50, 10]], /ascending/],
      ['eth_chainId', ['0x1'], /too many parameters/],
      ['eth_sendRawTransaction', ['zz'], /parameter 1 must be bytes/],
    ]
    for (const [method, params, message] of wrong) {
      const { error } = await rpc.ask(method, params)
      assert.equal(error?.code, -32602, method)
      assert.match(error.message, message)
    }
    assert.equal((await rpc.ask('eth_getBalance', { address: alice })).error?.code, -32602)
  })

  it('finds logs by address, topics and range', async () => {
    const topics = (found: unknown) => (found as { topics: string[] }[]).map((one) => Number(one.topics[0]))
    assert.deepEqual(
      topics(await rpc.result('eth_getLogs', [{ fromBlock: '0x0', toBlock: 'latest' }])),
      [1, 2, 3, 4, 5],
    )
    assert.deepEqual(topics(await rpc.result('eth_getLogs', [{ fromBlock: '0x2', toBlock: '0x3' }])), [2, 3])
    assert.deepEqual(
      topics(await rpc.result('eth_getLogs', [{ fromBlock: '0x0', topics: [[word(2), word(5)]] }])),
      [2, 5],
    )
    assert.deepEqual(topics(await rpc.result('eth_getLogs', [{ fromBlock: '0x0', address: alice }])), [])
    assert.deepEqual(topics(await rpc.result('eth_getLogs', [{}])), [5])
    assert.deepEqual(topics(await rpc.result('eth_getLogs', [{ blockHash: rpc.chain.block(4n)!.hash }])), [4])
  })

  it('has fees, and a history of them that is cut to the limit', async () => {
    assert.equal(await rpc.result('eth_maxPriorityFeePerGas'), '0x9')
    assert.equal(await rpc.result('eth_gasPrice'), '0x1e')
    assert.deepEqual(await rpc.result('eth_feeHistory', ['0x400', 'latest', [0, 100]]), {
      oldestBlock: '0x2',
      baseFeePerGas: ['0x14', '0x14', '0x14', '0x14', '0x15'],
      gasUsedRatio: [0.05, 0.05, 0.05, 0.05],
      reward: [
        ['0x9', '0x9'],
        ['0x9', '0x9'],
        ['0x9', '0x9'],
        ['0x9', '0x9'],
      ],
    })
  })

  it('hands over transactions, and says why one is refused', async () => {
    assert.match((await rpc.result('eth_sendRawTransaction', ['0x02c0'])) as string, /^0x[0-9a-f]{64}$/)
    assert.deepEqual(rpc.chain.submitted.at(-1), Uint8Array.of(2, 0xc0))
    rpc.chain.submitError = Object.assign(new Error('nonce too low: next nonce 4, tx nonce 3'), {
      code: 'NONCE_TOO_LOW',
    })
    assert.deepEqual((await rpc.ask('eth_sendRawTransaction', ['0x02c0'])).error, {
      code: -32000,
      message: 'nonce too low: next nonce 4, tx nonce 3',
      data: { code: 'NONCE_TOO_LOW' },
    })
  })

  it('tells nothing of its own faults to strangers', async () => {
    rpc.chain.onCall = async () => {
      throw new Error('secret of the house')
    }
    const { error } = await rpc.ask('eth_call', [{ to: token }])
    assert.deepEqual(error, { code: -32603, message: 'internal error; the log of the node has more' })
  })

  it('bounds proofs', async () => {
    const keys = [word(1), word(2), word(3)]
    assert.equal((await rpc.ask('eth_getProof', [alice, keys, 'latest'])).error?.code, -32005)
  })
})

describe('sending synchronously', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({ limits: { syncSendsMax: 1 } })
  })
  after(() => rpc.close())

  it('waits with its answer until there is a receipt, or gives up and says so', async () => {
    const timedOut = await rpc.ask('eth_sendRawTransactionSync', ['0x1234', '0x1'])
    assert.equal(timedOut.error?.code, 4)
    assert.match(timedOut.error.message, /not executed in 1 ms/)
    const sent = rpc.ask('eth_sendRawTransactionSync', ['0x1234', '0x7d0'])
    while (rpc.chain.submitted.length < 2) await new Promise(setImmediate)
    rpc.chain.submittedIsMined = true
    rpc.chain.append([])
    assert.equal(((await sent).result as { status: string }).status, '0x1')
    rpc.chain.submittedIsMined = false
  })

  it('is for a few at a time', async () => {
    const first = rpc.ask('eth_sendRawTransactionSync', ['0x5678', '0x32'])
    const second = await rpc.ask('eth_sendRawTransactionSync', ['0x9abc', '0x32'])
    assert.ok([(await first).error?.code, second.error?.code].includes(-32005))
  })
})
