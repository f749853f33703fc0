import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { ChainClient, type ChainClientInit, ChainError } from '@cumulus/chain'
import { registrationMessage } from '@cumulus/ledger'
import { mainnet, minimal } from '@cumulus/params'
import { createLogger } from '@cumulus/service'
import { Ed25519Key } from '@cumulus/signature'
import { testKey } from '../../execution/test/transactions.ts'
import { TestValidator } from './test-validator.ts'

const GiB = 2n ** 30n

describe('a chain client with a real validator', () => {
  let validator: TestValidator
  const end = new AbortController()
  const connect = (index: number, init: Partial<ChainClientInit> = {}) =>
    ChainClient.connect({
      urls: [validator.url],
      privateKey: hexToBytes(testKey(index)),
      params: minimal,
      log: createLogger({ name: 'chain', write: () => {} }),
      signal: end.signal,
      pollMs: 20,
      sender: { pollMs: 20, resendMs: 200 },
      ...init,
    })
  before(async () => {
    validator = await TestValidator.start()
  })
  after(async () => {
    end.abort()
    await validator.remove()
  })

  it('registers a miner with its stake, and reads it back', async () => {
    const chain = await connect(0)
    const peer = new Ed25519Key(new Uint8Array(32).fill(1))
    const signature = bytesToHex(peer.sign(registrationMessage(minimal.chainId, chain.account)))
    const peerKey = bytesToHex(peer.publicKey)
    const { events, blockNumber } = await chain.send(
      'Miners',
      'register',
      [peerKey, '/ip4/127.0.0.1/tcp/4001', chain.account, 8, 'eu-de', signature],
      { value: 8n * minimal.stakePerUnit },
    )
    assert.deepEqual(
      events.map(({ module, name, args }) => ({ module, name, args })),
      [{ module: 'Miners', name: 'MinerRegistered', args: { account: chain.account, peerKey, declaredUnits: 8 } }],
    )
    const miner = await chain.read('Miners', 'minerByPeerKey', [peerKey])
    assert.deepEqual([miner.account, miner.idleUnits, miner.registeredAtBlock], [chain.account, 8, blockNumber])
    assert.equal(await chain.read('Miners', 'minerCount', []), 1n)
  })

  it('says why a call is refused, and what to do', async () => {
    const chain = await connect(0)
    await assert.rejects(chain.send('Miners', 'declareUnits', [80]), (error: ChainError) => {
      assert.deepEqual([error.code, error.errorName], ['REVERTED', 'StakeTooLow'])
      assert.deepEqual(error.args, [80n * minimal.stakePerUnit, 8n * minimal.stakePerUnit])
      assert.match(error.nextStep!, /send the missing stake/)
      return true
    })
    await assert.rejects(chain.read('Territories', 'price', [GiB, 2 ** 32]), /4294967296/)
    await assert.rejects(chain.read('Miners', 'miners', [0n, 101n]), {
      code: 'REVERTED',
      reason: 'limit is over 100',
    })
    const reason = 'no such territory'
    await assert.rejects(chain.read('Territories', 'territoryOf', [999n]), { code: 'REVERTED', reason })
  })

  it('decodes what reverted in a block, although the estimate passed', async () => {
    const chain = await connect(0)
    // With a gas limit given, nothing is estimated: it fails on chain.
    await assert.rejects(chain.send('Miners', 'declareUnits', [80], { gas: 500_000n }), (error: ChainError) => {
      assert.deepEqual([error.code, error.errorName], ['REVERTED', 'StakeTooLow'])
      assert.match(error.transactionHash!, /^0x/)
      return true
    })
  })

  it('does not spend what it has not', async () => {
    const poor = await connect(50)
    assert.equal(await poor.balanceOf(), 0n)
    await assert.rejects(poor.transfer(poor.account, 1n), { code: 'INSUFFICIENT_FUNDS' })
    await assert.rejects(
      poor.send('Miners', 'topUp', [], { value: 5n }),
      (error: ChainError) => error instanceof ChainError,
    )
  })

  it('has many transactions in flight, and every nonce used once', async () => {
    const chain = await connect(1)
    const price = await chain.read('Territories', 'price', [GiB, 10])
    const names = Array.from({ length: 40 }, (_, index) => `territory ${index}`)
    const sent = await Promise.all(
      names.map((name) => chain.send('Territories', 'mint', [name, GiB, 10, chain.account], { value: price })),
    )
    assert.equal(new Set(sent.map(({ transactionHash }) => transactionHash)).size, 40)
    const owned = await chain.read('Territories', 'territoriesOf', [chain.account, 0n, 100n])
    assert.deepEqual(owned.map(({ name }) => name).toSorted(), names.toSorted())
    assert.equal(chain.inFlight, 0)
  })

  it('shares an account with another process', async () => {
    const [one, two] = await Promise.all([connect(2), connect(2)])
    const price = await one.read('Territories', 'price', [GiB, 10])
    await Promise.all(
      [one, two, one, two, one, two, one, two].map((chain, index) =>
        chain.send('Territories', 'mint', [`shared ${index}`, GiB, 10, chain.account], { value: price }),
      ),
    )
    const owned = await one.read('Territories', 'territoriesOf', [one.account, 0n, 100n])
    assert.deepEqual(
      owned.map(({ name }) => name).toSorted(),
      Array.from({ length: 8 }, (_, i) => `shared ${i}`),
    )
  })

  it('follows events and sends on while the validator restarts: nothing missed, nothing twice', async () => {
    const [chain, reader] = [await connect(3), await connect(4)]
    const price = await chain.read('Territories', 'price', [GiB, 10])
    const fromBlock = (await chain.blockNumber()) + 1n
    const names = Array.from({ length: 30 }, (_, index) => `lasting ${index}`)

    const heard: string[] = []
    const places: [bigint, number][] = []
    let progress = 0n
    const listening = (async () => {
      const onProgress = (blockNumber: bigint) => {
        assert.ok(blockNumber >= progress)
        progress = blockNumber
      }
      for await (const event of reader.events('Territories', 'TerritoryMinted', {
        fromBlock,
        args: { owner: chain.account },
        onProgress,
      })) {
        heard.push(event.args.name)
        places.push([event.blockNumber, event.logIndex])
        if (heard.length === names.length) return
      }
    })()
    const sending = names.map((name) =>
      chain.send('Territories', 'mint', [name, GiB, 10, chain.account], { value: price }),
    )
    await Promise.race(sending)
    await validator.stop()
    await validator.start()
    await Promise.all(sending)
    await listening

    assert.deepEqual(heard.toSorted(), names.toSorted())
    assert.deepEqual(
      places,
      places.toSorted(([a, i], [b, j]) => Number(a - b) || i - j),
    )
    const owned = await chain.read('Territories', 'territoriesOf', [chain.account, 0n, 100n])
    assert.equal(owned.length, names.length)

    // Resumed behind the tenth, the rest comes again, in the same order.
    const [blockNumber, logIndex] = places[9]!
    const again: string[] = []
    for await (const event of reader.events('Territories', 'TerritoryMinted', {
      after: { blockNumber, logIndex },
      args: { owner: chain.account },
    })) {
      again.push(event.args.name)
      if (again.length === names.length - 10) break
    }
    assert.deepEqual(again, heard.slice(10))
  })

  it('refuses to work on another chain than its parameters say', async () => {
    await assert.rejects(connect(0, { params: mainnet }), { code: 'WRONG_CHAIN' })
  })

  it('ends what waits when its signal aborts', async () => {
    const chain = await connect(0)
    const stop = new AbortController()
    const next = chain.events('Miners', 'MinerUpdated', { signal: stop.signal }).next()
    stop.abort(new Error('enough'))
    await assert.rejects(next, /enough/)
    await assert.rejects(chain.transfer(chain.account, 1n, { signal: stop.signal }), /enough/)
  })
})
