import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { faucet } from '@cumulus/ledger'
import type { Address } from '@cumulus/types'
import { concatHex, encodeFunctionData, type Hex, pad, toHex } from 'viem'
import { entryPoint08Address, getUserOperationHash } from 'viem/account-abstraction'
import {
  entryPointAbi,
  simpleAccountAbi,
  simpleAccountFactoryAbi,
  wrappedCumulusAbi,
  wrappedTokenPaymasterAbi,
} from '../src/generated/abis.ts'
import { predeployAddresses } from '../src/index.ts'
import { alice, bob, ContractChain, carol, eventsOf, reason, TOKEN } from './contract-chain.ts'

const entryPoint = { address: predeployAddresses.entryPoint, abi: entryPointAbi }
const factory = { address: predeployAddresses.accountFactory, abi: simpleAccountFactoryAbi }
const wrapped = { address: predeployAddresses.wrappedCumulus, abi: wrappedCumulusAbi }
const paymaster = { address: predeployAddresses.paymaster, abi: wrappedTokenPaymasterAbi }

const GWEI = 10n ** 9n
const somebody: Address = '0x00000000000000000000000000000000000000b1'

/** Two numbers of 16 bytes in one word. */
const pack = (high: bigint, low: bigint): Hex =>
  concatHex([pad(toHex(high), { size: 16 }), pad(toHex(low), { size: 16 })])

describe('an account that is a contract', () => {
  let chain: ContractChain
  let account: Address

  before(async () => {
    chain = await ContractChain.open()
    account = (await chain.read(factory, 'getAddress', [alice.address, 0n])).toLowerCase() as Address
  })

  /** A user operation signed by Alice, handed in by Bob. */
  async function operate(
    calls: { to: Address; value?: bigint; data?: Hex }[],
    options: { initCode?: Hex; paymasterAndData?: Hex; signer?: typeof alice } = {},
  ) {
    const { initCode = '0x', paymasterAndData = '0x', signer = alice } = options
    const callData = encodeFunctionData({
      abi: simpleAccountAbi,
      functionName: 'executeBatch',
      args: [calls.map(({ to, value = 0n, data = '0x' }) => ({ target: to, value, data }))],
    })
    const op = {
      sender: account,
      nonce: await chain.read(entryPoint, 'getNonce', [account, 0n]),
      initCode,
      callData,
      accountGasLimits: pack(1_000_000n, 1_000_000n),
      preVerificationGas: 50_000n,
      gasFees: pack(GWEI, 2n * GWEI),
      paymasterAndData,
      signature: '0x' as Hex,
    }
    const hash = await chain.read(entryPoint, 'getUserOpHash', [op])
    const signature = await signer.sign({ hash })
    return { op: { ...op, signature }, hash }
  }
  const handle = (op: Awaited<ReturnType<typeof operate>>['op']) =>
    chain.write(bob, entryPoint, 'handleOps', [[op], bob.address])

  it('meets the entry point where tools look for it, with the hash they compute', async () => {
    assert.equal(entryPoint.address, entryPoint08Address.toLowerCase())
    const { op, hash } = await operate([{ to: somebody, value: 1n }])
    const expected = getUserOperationHash({
      chainId: chain.params.chainId,
      entryPointAddress: entryPoint08Address,
      entryPointVersion: '0.8',
      userOperation: {
        sender: op.sender,
        nonce: op.nonce,
        callData: op.callData,
        callGasLimit: 1_000_000n,
        verificationGasLimit: 1_000_000n,
        preVerificationGas: op.preVerificationGas,
        maxPriorityFeePerGas: GWEI,
        maxFeePerGas: 2n * GWEI,
        signature: '0x',
      },
    })
    assert.equal(hash, expected)
  })

  it('is made by its first operation, and calls modules', async () => {
    await chain.send(alice, { to: account, value: 10n * TOKEN })
    const create = encodeFunctionData({ abi: factory.abi, functionName: 'createAccount', args: [alice.address, 0n] })
    const claim = encodeFunctionData({ abi: faucet.abi, functionName: 'claim', args: [somebody] })
    const { op } = await operate(
      [
        { to: somebody, value: TOKEN },
        { to: faucet.address, data: claim },
      ],
      { initCode: concatHex([factory.address, create]) },
    )
    const receipt = await handle(op)
    const done = eventsOf(receipt, entryPoint).find(({ name }) => name === 'UserOperationEvent')!
    assert.equal(done.args['success'], true)
    assert.equal(chain.ledger.getBalance(somebody), TOKEN + chain.params.faucetGrant)
    assert.ok(chain.ledger.getCode(account).length > 0)
    const owner = await chain.read({ address: account, abi: simpleAccountAbi }, 'owner', [])
    assert.equal(owner, alice.address)
  })

  it('obeys its owner only, and each operation once', async () => {
    const stranger = await operate([{ to: somebody, value: 1n }], { signer: bob })
    await assert.rejects(handle(stranger.op), /AA24 signature error/)
    const { op } = await operate([{ to: somebody, value: 1n }])
    await handle(op)
    await assert.rejects(handle(op), /AA25 invalid account nonce/)
    const forged = await operate([{ to: somebody, value: 1n }])
    await assert.rejects(handle({ ...forged.op, preVerificationGas: 1n }), /AA24 signature error/)
  })

  it('pays its gas in wrapped tokens, at the cost of whoever runs the paymaster: nobody', async () => {
    await chain.write(carol, entryPoint, 'depositTo', [paymaster.address], { value: TOKEN })
    await chain.write(alice, wrapped, 'deposit', [], { value: 5n * TOKEN })
    await chain.write(alice, wrapped, 'transfer', [account, 5n * TOKEN])
    const approve = encodeFunctionData({
      abi: wrapped.abi,
      functionName: 'approve',
      args: [paymaster.address, 2n ** 256n - 1n],
    })
    await handle((await operate([{ to: wrapped.address, data: approve }])).op)
    // Nothing but wrapped tokens from here on.
    const rest = chain.ledger.getBalance(account)
    const paymasterAndData = concatHex([paymaster.address, pack(200_000n, 100_000n)])
    const send = await operate([{ to: alice.lower, value: rest }], { paymasterAndData })
    await handle(send.op)
    assert.equal(chain.ledger.getBalance(account), 0n)

    const float = () => chain.read(entryPoint, 'balanceOf', [paymaster.address])
    const before = { float: await float(), tokens: await chain.read(wrapped, 'balanceOf', [account]) }
    const { op } = await operate([{ to: somebody }], { paymasterAndData })
    const receipt = await handle(op)
    const { args } = eventsOf(receipt, entryPoint).find(({ name }) => name === 'UserOperationEvent')!
    assert.deepEqual([args['success'], (args['paymaster'] as string).toLowerCase()], [true, paymaster.address])
    const paid = before.tokens - (await chain.read(wrapped, 'balanceOf', [account]))
    const cost = before.float - (await float())
    assert.ok(paid >= cost, `the account paid ${paid} for a cost of ${cost}`)
    assert.ok(paid - cost < 60_000n * 2n * GWEI, 'and not much more')
    await chain.write(bob, paymaster, 'refill', [])
    assert.ok((await float()) >= TOKEN)
    assert.equal(await chain.read(wrapped, 'balanceOf', [paymaster.address]), 0n)
  })

  it('is not paid for without tokens, nor by a call from outside', async () => {
    const paymasterAndData = concatHex([paymaster.address, pack(200_000n, 100_000n)])
    const balance = await chain.read(wrapped, 'balanceOf', [account])
    const away = encodeFunctionData({ abi: wrapped.abi, functionName: 'transfer', args: [bob.address, balance] })
    await chain.send(alice, { to: account, value: TOKEN })
    await handle((await operate([{ to: wrapped.address, data: away }])).op)
    await assert.rejects(handle((await operate([{ to: somebody }], { paymasterAndData })).op), /AA33 reverted/)
    const { op } = await operate([{ to: somebody }])
    const data = encodeFunctionData({
      abi: paymaster.abi,
      functionName: 'validatePaymasterUserOp',
      args: [op, `0x${'00'.repeat(32)}`, 0n],
    })
    const { ok, output } = await chain.ledger.call({ from: bob.lower, to: paymaster.address, data: hexToBytes(data) })
    assert.deepEqual([ok, reason(paymaster.abi, output)], [false, `NotEntryPoint(${bob.address})`])
  })
})
