import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { parameters, treasury } from '@cumulus/ledger'
import { minimal } from '@cumulus/params'
import { encodeFunctionData, keccak256, stringToHex } from 'viem'
import { cumulusGovernorAbi, timelockControllerAbi, wrappedCumulusAbi } from '../src/generated/abis.ts'
import { predeployAddresses } from '../src/index.ts'
import { alice, bob, ContractChain, eventsOf, TOKEN } from './contract-chain.ts'

const governor = { address: predeployAddresses.governor, abi: cumulusGovernorAbi }
const timelock = { address: predeployAddresses.timelock, abi: timelockControllerAbi }
const wrapped = { address: predeployAddresses.wrappedCumulus, abi: wrappedCumulusAbi }

const { votingDelaySeconds, votingPeriodSeconds, timelockSeconds } = minimal.governance
/** Of OpenZeppelin's Governor. */
const state = { pending: 0, active: 1, defeated: 3, succeeded: 4, queued: 5, executed: 7 } as const

function proposalOf(value: bigint, description: string) {
  const call = encodeFunctionData({ abi: parameters.abi, functionName: 'set', args: ['treasury.rent.burn', value] })
  const list = [[parameters.address], [0n], [call]] as const
  return {
    propose: [...list, description] as const,
    after: [...list, keccak256(stringToHex(description))] as const,
  }
}

describe('the DAO', () => {
  let chain: ContractChain

  before(async () => {
    chain = await ContractChain.open()
  })

  const propose = async (value: bigint, description: string) => {
    const { propose, after } = proposalOf(value, description)
    const receipt = await chain.write(alice, governor, 'propose', propose)
    const created = eventsOf(receipt, governor).find(({ name }) => name === 'ProposalCreated')!
    return { id: created.args['proposalId'] as bigint, after }
  }
  const stateOf = (id: bigint) => chain.read(governor, 'state', [id])
  const current = () => chain.read(parameters, 'valueOf', ['treasury.rent.burn'])

  it('is ruled by nobody but the holders of the wrapped token', async () => {
    const [proposer, admin] = await Promise.all([
      chain.read(timelock, 'PROPOSER_ROLE', []),
      chain.read(timelock, 'DEFAULT_ADMIN_ROLE', []),
    ])
    assert.equal(await chain.read(timelock, 'hasRole', [proposer, governor.address]), true)
    assert.equal(await chain.read(timelock, 'hasRole', [proposer, alice.address]), false)
    assert.equal(await chain.read(timelock, 'hasRole', [admin, timelock.address]), true, 'it rules itself')
    assert.equal(await chain.read(timelock, 'getMinDelay', []), BigInt(timelockSeconds))
    assert.equal(await chain.read(governor, 'votingPeriod', []), BigInt(votingPeriodSeconds))
    const supply = await chain.read(treasury, 'supply', [])
    assert.equal(
      await chain.read(governor, 'quorum', [0n]),
      (supply.current * BigInt(minimal.governance.quorumPpm)) / 10n ** 6n,
    )
    await assert.rejects(chain.write(alice, parameters, 'set', ['treasury.rent.burn', 1n]), /only governance/)
  })

  it('changes a parameter of a module: proposed, voted for, queued, executed', async () => {
    await chain.write(alice, wrapped, 'deposit', [], { value: 100_000n * TOKEN })
    await chain.write(alice, wrapped, 'delegate', [alice.address])
    chain.pass(1)
    const { id, after } = await propose(33n, 'burn a third')
    assert.equal(await stateOf(id), state.pending)
    chain.pass(votingDelaySeconds + 1)
    await chain.write(alice, governor, 'castVote', [id, 1])
    assert.equal(await stateOf(id), state.active)
    await assert.rejects(chain.write(bob, governor, 'queue', after), /GovernorUnexpectedProposalState/)
    chain.pass(votingPeriodSeconds)
    await chain.write(bob, governor, 'queue', after)
    assert.equal(await stateOf(id), state.queued)
    // At once it is too early: one second of the timelock.
    const early = await chain.ledger.call({
      from: bob.lower,
      to: governor.address,
      data: Uint8Array.fromHex(
        encodeFunctionData({ abi: governor.abi, functionName: 'execute', args: after as never }).slice(2),
      ),
    })
    assert.equal(early.ok, false)
    chain.pass(timelockSeconds)
    const before = await current()
    const receipt = await chain.write(bob, governor, 'execute', after)
    // From the next era on, in which the next block is.
    assert.deepEqual([before, await current()], [10n, 10n])
    chain.pass((minimal.slotMs * minimal.slotsPerEpoch * minimal.epochsPerEra) / 1000)
    await chain.send(bob, { to: bob.lower })
    assert.equal(await current(), 33n)
    assert.equal(await stateOf(id), state.executed)
    assert.deepEqual(
      eventsOf(receipt, parameters).map(({ args }) => [args['name'], args['value']]),
      [['treasury.rent.burn', 33n]],
    )
  })

  it('decides nothing without a quorum, or against the votes', async () => {
    const { id } = await propose(40n, 'nobody comes')
    chain.pass(votingDelaySeconds + votingPeriodSeconds + 1)
    await chain.send(bob, { to: bob.lower })
    assert.equal(await stateOf(id), state.defeated)
    const against = await propose(41n, 'nobody wants it')
    chain.pass(votingDelaySeconds + 1)
    await chain.write(alice, governor, 'castVote', [against.id, 0])
    chain.pass(votingPeriodSeconds)
    await assert.rejects(chain.write(bob, governor, 'queue', against.after), /GovernorUnexpectedProposalState/)
    assert.equal(await current(), 33n)
  })

  it('refuses a proposal by somebody with too few votes, and what a module refuses', async () => {
    const { propose: proposal } = proposalOf(5n, 'from outside')
    await assert.rejects(chain.write(bob, governor, 'propose', proposal), /GovernorInsufficientProposerVotes/)
    const { id, after } = await propose(2_000_000n, 'out of bounds')
    chain.pass(votingDelaySeconds + 1)
    await chain.write(alice, governor, 'castVote', [id, 1])
    chain.pass(votingPeriodSeconds)
    await chain.write(alice, governor, 'queue', after)
    chain.pass(timelockSeconds)
    await assert.rejects(chain.write(alice, governor, 'execute', after), /must be 0 to 1000000/)
    assert.equal(await stateOf(id), state.queued)
  })
})

describe('the wrapped token', () => {
  it('is worth one token each, both ways', async () => {
    const chain = await ContractChain.open()
    await chain.send(bob, { to: wrapped.address, value: 7n * TOKEN })
    await chain.write(bob, wrapped, 'deposit', [], { value: 3n * TOKEN })
    assert.equal(await chain.read(wrapped, 'balanceOf', [bob.address]), 10n * TOKEN)
    assert.equal(chain.ledger.getBalance(wrapped.address), 10n * TOKEN)
    await assert.rejects(chain.write(bob, wrapped, 'withdraw', [11n * TOKEN]), /ERC20InsufficientBalance/)
    await chain.write(bob, wrapped, 'withdraw', [10n * TOKEN])
    assert.equal(await chain.read(wrapped, 'totalSupply', []), 0n)
    assert.equal(chain.ledger.getBalance(wrapped.address), 0n)
    assert.deepEqual(
      await Promise.all([
        chain.read(wrapped, 'name', []),
        chain.read(wrapped, 'symbol', []),
        chain.read(wrapped, 'CLOCK_MODE', []),
      ]),
      ['Wrapped Cumulus', 'WCML', 'mode=timestamp'],
    )
  })
})
