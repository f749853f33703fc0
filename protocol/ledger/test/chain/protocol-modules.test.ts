import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { decodeErrorResult, encodeFunctionData, parseAbi, parseEventLogs } from 'viem'
import { Ledger, MemoryLedgerStore, ModuleRegistry } from '../../src/index.ts'
import { moduleAbis, modulesFor } from '../../src/modules/index.ts'
import { account, alice, batchOf, bob, deployer, ETHER, forwarder, genesis, params, sign, word } from './fixture.ts'

const { Faucet, Territories, Treasury } = moduleAbis

function open(store = new MemoryLedgerStore()): Promise<Ledger> {
  return Ledger.open({ params, genesis, store, modules: new ModuleRegistry(modulesFor(params)) })
}

const claim = (to: `0x${string}`) =>
  hexToBytes(encodeFunctionData({ abi: Faucet.abi, functionName: 'claim', args: [to] }))

/** The reason in the revert data behind the success word that `forwarder` returns. */
function forwardedReason(output: Uint8Array): unknown {
  assert.equal(word(output), 0n)
  const { args } = decodeErrorResult({ abi: parseAbi(['error Error(string)']), data: bytesToHex(output.subarray(32)) })
  return args[0]
}

describe('the protocol modules in a ledger', () => {
  it('are used by transactions: the faucet gives, a territory is bought, the rest of the value comes back', async () => {
    const ledger = await open()
    const receiver = account(60).address
    const mint = encodeFunctionData({
      abi: Territories.abi,
      functionName: 'mint',
      args: ['docs', 2n ** 30n, 10, bob.address],
    })
    const { receipts } = await ledger.execute(
      batchOf(ledger, [
        sign(alice, { nonce: 0n, to: Faucet.address, data: claim(receiver), gasLimit: 200_000n }),
        sign(alice, { nonce: 1n, to: Faucet.address, data: claim(receiver), gasLimit: 200_000n }),
        sign(alice, { nonce: 2n, to: Territories.address, data: hexToBytes(mint), value: ETHER, gasLimit: 1_000_000n }),
      ]),
    )
    assert.deepEqual(
      receipts.map(({ ok }) => ok),
      [true, false, true],
    )
    assert.equal(ledger.getBalance(receiver), params.faucetGrant)
    assert.equal(ledger.getBalance(Territories.address), 0n)
    const rent = ledger.getBalance(Treasury.address)
    assert.equal(rent, params.pricePerGiBEpoch * 10n)
    const paid = receipts.reduce((sum, { gasUsed, effectiveGasPrice }) => sum + gasUsed * effectiveGasPrice, 0n)
    assert.equal(ledger.getBalance(alice.address), 1_000n * ETHER - paid - rent)

    const logs = ledger.logs({ fromBlock: 1n, toBlock: 1n, addresses: [Territories.address] })
    const [minted] = parseEventLogs({
      abi: Territories.abi,
      eventName: 'TerritoryMinted',
      logs: logs.map(
        ({ address, topics, data }) => ({ address, topics: topics.map(bytesToHex), data: bytesToHex(data) }) as never,
      ),
    })
    assert.equal(minted!.args.owner.toLowerCase(), bob.address)
    const view = encodeFunctionData({ abi: Treasury.abi, functionName: 'received' })
    assert.equal(word((await ledger.call({ to: Treasury.address, data: hexToBytes(view) })).output), rent)
  })

  it('are used by contracts, but not on foreign storage and not to write where nothing may be written', async () => {
    const ledger = await open()
    const kinds = ['call', 'staticcall', 'delegatecall', 'callcode'] as const
    const { receipts } = await ledger.execute(
      batchOf(
        ledger,
        kinds.map((kind, i) =>
          sign(alice, { nonce: BigInt(i), data: deployer(forwarder(Faucet.address, kind)), gasLimit: 300_000n }),
        ),
      ),
    )
    const outputs = await Promise.all(
      receipts.map(({ contractAddress }) => ledger.call({ to: contractAddress!, data: claim(bob.address) })),
    )
    const [called, ...refused] = outputs.map(({ output }) => output)
    assert.deepEqual([word(called!), word(called!, 1)], [1n, params.faucetGrant])
    for (const output of refused) assert.equal(typeof forwardedReason(output), 'string')
    assert.match(String(forwardedReason(refused[1]!)), /delegatecall/)
    assert.match(String(forwardedReason(refused[2]!)), /callcode/)
  })

  it('give the same genesis to everybody, and another one to other parameters', async () => {
    const [one, two] = [await open(), await open()]
    assert.deepEqual(one.genesisHash, two.genesisHash)
    const changed = { ...params, stakePerUnit: params.stakePerUnit + 1n }
    const other = await Ledger.open({
      params: changed,
      genesis,
      store: new MemoryLedgerStore(),
      modules: new ModuleRegistry(modulesFor(changed)),
    })
    assert.notDeepEqual(other.genesisHash, one.genesisHash)
  })
})
