import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import {
  faucet,
  Ledger,
  MemoryLedgerStore,
  ModuleRegistry,
  modulesFor,
  type Predeploy,
  treasury,
} from '@cumulus/ledger'
import { dev, mainnet, minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { concatHex, encodeFunctionData, getContractAddress, pad, multicall3Abi as standardMulticall3Abi } from 'viem'
import { multicall3Abi, timelockControllerAbi } from '../src/generated/abis.ts'
import { predeployAddresses, predeploysFor } from '../src/index.ts'
import { alice, ContractChain } from './contract-chain.ts'

const multicall = { address: predeployAddresses.multicall3, abi: multicall3Abi }

function open(predeploys: readonly Predeploy[], params: Params = minimal, alloc = {}): Promise<Ledger> {
  return Ledger.open({
    params,
    genesis: { timestampMs: 0, alloc, predeploys },
    store: new MemoryLedgerStore(),
    modules: new ModuleRegistry(modulesFor(params)),
  })
}

describe('the contracts of the first chain block', () => {
  it('are there, on every network, and the same for everybody', async () => {
    for (const params of [mainnet, dev, minimal]) {
      const [one, other] = [await open(predeploysFor(params), params), await open(predeploysFor(params), params)]
      assert.deepEqual(one.genesisHash, other.genesisHash)
      for (const { name, address } of predeploysFor(params)) {
        assert.ok(one.getCode(address).length > 60, name)
        assert.ok(one.getNonce(address) >= 1n, name)
      }
      const delay = encodeFunctionData({ abi: timelockControllerAbi, functionName: 'getMinDelay' })
      const { output } = await one.call({ to: predeployAddresses.timelock, data: hexToBytes(delay) })
      assert.equal(BigInt(bytesToHex(output)), BigInt(params.governance.timelockSeconds), 'its constructor has run')
    }
  })

  it('keep the tokens that the allocation gave their addresses', async () => {
    const { wrappedCumulus } = predeployAddresses
    const ledger = await open(predeploysFor(minimal), minimal, { [wrappedCumulus]: { balance: 5n } })
    assert.equal(ledger.getBalance(wrappedCumulus), 5n)
  })

  it('are refused where they do not fit', async () => {
    const address: Address = '0x00000000000000000000000000000000000000e1'
    const code = Uint8Array.of(0x00)
    const refused = (predeploy: object, why: RegExp, alloc = {}) =>
      assert.rejects(open([{ name: 'Odd', address, ...predeploy } as Predeploy], minimal, alloc), (error: Error) => {
        assert.match(error.message, why)
        assert.equal((error as { code?: string }).code, 'BAD_GENESIS')
        return true
      })
    await refused({ code, address: '0x12' }, /not at an address/)
    await refused({ code, address: treasury.address }, /where something else is/)
    await refused({ code, address: `0x${'0'.repeat(39)}1` }, /where something else is/)
    await refused({ code }, /where something else is/, { [address]: { code } })
    await refused({ code: new Uint8Array() }, /has 0 bytes of code/)
    await refused({ code: new Uint8Array(24_577) }, /has 24577 bytes/)
    // PUSH1 0 PUSH1 0 REVERT; INVALID; STOP, which returns no code.
    await refused({ creationCode: Uint8Array.of(0x60, 0, 0x60, 0, 0xfd) }, /cannot be constructed: revert/)
    await refused({ creationCode: Uint8Array.of(0xfe) }, /cannot be constructed: invalid opcode/)
    await refused({ creationCode: Uint8Array.of(0x00) }, /has 0 bytes of code/)
    const twice = [
      { name: 'A', address, code },
      { name: 'B', address, code },
    ]
    await assert.rejects(open(twice), /B at .* is where something else is/)
  })
})

describe('the deterministic deployer', () => {
  it('creates where everybody can know it beforehand', async () => {
    const chain = await ContractChain.open()
    const { create2Deployer } = predeployAddresses
    // Returns 0x2a in whatever call: PUSH10 of the code, MSTORE, RETURN.
    const bytecode = '0x69602a60005260206000f3600052600a6016f3'
    const salt = pad('0x07', { size: 32 })
    const expected = getContractAddress({ bytecode, from: create2Deployer, opcode: 'CREATE2', salt }).toLowerCase()
    const data = concatHex([salt, bytecode])
    const { output } = await chain.ledger.call({ to: create2Deployer, data: hexToBytes(data) })
    assert.equal(bytesToHex(output), expected)
    assert.ok((await chain.send(alice, { to: create2Deployer, data })).ok)
    const answer = await chain.ledger.call({ to: expected as Address })
    assert.equal(BigInt(bytesToHex(answer.output)), 42n)
    const again = await chain.send(alice, { to: create2Deployer, data, gas: 200_000n })
    assert.equal(again.ok, false, 'and once only')
  })
})

describe('many calls in one', () => {
  let chain: ContractChain
  before(async () => {
    chain = await ContractChain.open()
  })
  const supply = encodeFunctionData({ abi: treasury.abi, functionName: 'supply' })
  const claim = (to: Address) => encodeFunctionData({ abi: faucet.abi, functionName: 'claim', args: [to] })
  const target = treasury.address
  const nobody: Address = '0x0000000000000000000000000000000000000000'

  it('answer each for itself, to the ABI that viem has', async () => {
    const wrongCall = { target: faucet.address, allowFailure: true, callData: claim(nobody) }
    const results = await chain.read({ address: multicall.address, abi: standardMulticall3Abi }, 'aggregate3', [
      [{ target, allowFailure: false, callData: supply }, wrongCall],
    ])
    assert.deepEqual(
      results.map(({ success }) => success),
      [true, false],
    )
    await assert.rejects(
      chain.read(multicall, 'aggregate3', [[{ ...wrongCall, allowFailure: false }]]),
      /Multicall3: call failed/,
    )
  })

  it('have the older forms too', async () => {
    const calls = [{ target, callData: supply }]
    const wrong = [{ target: faucet.address, callData: claim(nobody) }]
    const [number, [answer]] = await chain.read(multicall, 'aggregate', [calls])
    assert.equal(number, chain.ledger.head.number)
    assert.equal(answer!.length, 2 + 64 * 5)
    assert.deepEqual(await chain.read(multicall, 'tryAggregate', [true, calls]), [
      { success: true, returnData: answer },
    ])
    assert.equal((await chain.read(multicall, 'tryAggregate', [false, wrong]))[0]!.success, false)
    await assert.rejects(chain.read(multicall, 'tryAggregate', [true, wrong]), /call failed/)
    assert.equal((await chain.read(multicall, 'blockAndAggregate', [calls]))[2].length, 1)
    assert.equal((await chain.read(multicall, 'tryBlockAndAggregate', [false, wrong]))[2][0]!.success, false)
  })

  it('move tokens only if the sum is right', async () => {
    const to: Address = '0x00000000000000000000000000000000000000c1'
    const call = { target: to, allowFailure: false, value: 3n, callData: '0x' } as const
    await chain.write(alice, multicall, 'aggregate3Value', [[call, call]], { value: 6n })
    assert.equal(chain.ledger.getBalance(to), 6n)
    await assert.rejects(chain.write(alice, multicall, 'aggregate3Value', [[call]], { value: 4n }), /value mismatch/)
    assert.equal(chain.ledger.getBalance(multicall.address), 0n)
  })

  it('tell what the block is', async () => {
    const { head } = chain.ledger
    assert.equal(await chain.read(multicall, 'getBlockNumber', []), head.number)
    assert.equal(await chain.read(multicall, 'getCurrentBlockTimestamp', []), head.timestamp)
    assert.equal(await chain.read(multicall, 'getChainId', []), BigInt(minimal.chainId))
    assert.equal(await chain.read(multicall, 'getBasefee', []), head.baseFee)
    assert.equal(await chain.read(multicall, 'getCurrentBlockGasLimit', []), head.gasLimit)
    assert.equal(await chain.read(multicall, 'getCurrentBlockDifficulty', []), BigInt(bytesToHex(head.prevRandao)))
    const parent = bytesToHex(chain.ledger.header(head.number - 1n)!.hash)
    assert.equal(await chain.read(multicall, 'getLastBlockHash', []), parent)
    assert.equal(await chain.read(multicall, 'getBlockHash', [head.number - 1n]), parent)
    assert.equal(await chain.read(multicall, 'getEthBalance', [alice.address]), chain.ledger.getBalance(alice.lower))
    const coinbase = await chain.read(multicall, 'getCurrentBlockCoinbase', [])
    assert.equal(coinbase.toLowerCase(), head.coinbase)
  })
})
