import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { moduleAbis } from '@cumulus/ledger'
import { isAddressEqual } from 'viem'
import { territoryPermitAbi } from '../src/generated/abis.ts'
import { predeployAddresses } from '../src/index.ts'
import { alice, bob, ContractChain, carol, type Person, TOKEN } from './contract-chain.ts'

const { Territories: territories } = moduleAbis
const permits = { address: predeployAddresses.territoryPermit, abi: territoryPermitAbi }

const FIELDS = [
  { name: 'territory', type: 'uint256' },
  { name: 'spender', type: 'address' },
  { name: 'nonce', type: 'uint256' },
  { name: 'deadline', type: 'uint256' },
] as const

describe('a territory', () => {
  let chain: ContractChain

  before(async () => {
    chain = await ContractChain.open()
    for (let i = 0; i < 4; i++) {
      await chain.write(alice, territories, 'mint', ['land', 2n ** 20n, 10, alice.address], { value: TOKEN })
    }
  })

  const sign = (
    kind: 'PermitTransfer' | 'PermitApprove',
    message: { territory: bigint; spender: `0x${string}`; nonce: bigint; deadline: bigint },
    signer: Person = alice,
  ) =>
    signer.signTypedData({
      domain: {
        name: 'Cumulus Territory Permit',
        version: '1',
        chainId: chain.params.chainId,
        verifyingContract: permits.address,
      },
      types: { [kind]: FIELDS },
      primaryType: kind,
      message,
    })
  const deadline = () => chain.now + 100n
  const ownerOf = (id: bigint) => chain.read(territories, 'ownerOf', [id])

  it('moves by a signature of its owner, once the contract is an operator', async () => {
    const terms = { territory: 1n, spender: bob.address, nonce: 0n, deadline: deadline() }
    const signature = await sign('PermitTransfer', terms)
    const args = [1n, alice.address, carol.address, 0n, terms.deadline, signature] as const
    await assert.rejects(chain.write(bob, permits, 'permitTransfer', args), /not the owner, nor approved/)
    await chain.write(alice, territories, 'setApprovalForAll', [permits.address, true])
    await assert.rejects(chain.write(carol, permits, 'permitTransfer', args), /BadSignature/, 'named is Bob')
    await chain.write(bob, permits, 'permitTransfer', args)
    assert.ok(isAddressEqual(await ownerOf(1n), carol.address))
    await assert.rejects(chain.write(bob, permits, 'permitTransfer', args), /NonceUsed/)
  })

  it('can be spent by whom a signature approves', async () => {
    const terms = { territory: 2n, spender: bob.address, nonce: 700n, deadline: deadline() }
    const signature = await sign('PermitApprove', terms)
    const args = [2n, alice.address, bob.address, 700n, terms.deadline, signature] as const
    await chain.write(carol, permits, 'permitApprove', args)
    await chain.write(bob, territories, 'transferFrom', [alice.address, bob.address, 2n])
    assert.ok(isAddressEqual(await ownerOf(2n), bob.address))
  })

  it('stays where it is if the permit is late, forged, cancelled, of another kind or for another territory', async () => {
    const base = { territory: 3n, spender: bob.address, nonce: 1n, deadline: deadline() }
    const good = await sign('PermitTransfer', base)
    const transfer = (changed: Partial<typeof base>, signature: `0x${string}`, owner = alice.address) => {
      const { territory, nonce, deadline } = { ...base, ...changed }
      return chain.write(bob, permits, 'permitTransfer', [territory, owner, bob.address, nonce, deadline, signature])
    }
    await assert.rejects(transfer({ territory: 4n }, good), /BadSignature/)
    await assert.rejects(transfer({ nonce: 2n }, good), /BadSignature/)
    await assert.rejects(transfer({ deadline: base.deadline + 1n }, good), /BadSignature/)
    await assert.rejects(transfer({}, await sign('PermitTransfer', base, bob)), /BadSignature/)
    await assert.rejects(transfer({}, await sign('PermitApprove', base)), /BadSignature/)
    await assert.rejects(transfer({}, '0x12'), /BadSignature/)
    // Carol is not the owner, and signs as if she were.
    await assert.rejects(
      transfer({}, await sign('PermitTransfer', base, carol), carol.address),
      /not the owner|from is/,
    )
    const late = { ...base, deadline: chain.now - 1n }
    await assert.rejects(transfer(late, await sign('PermitTransfer', late)), /Expired/)
    await chain.write(alice, permits, 'cancelNonces', [0n, 0b10n])
    await assert.rejects(transfer({}, good), /NonceUsed/)
    assert.ok(isAddressEqual(await ownerOf(3n), alice.address))
  })

  it('is not approved on the word of somebody who no longer owns it', async () => {
    const terms = { territory: 1n, spender: bob.address, nonce: 9n, deadline: deadline() }
    const signature = await sign('PermitApprove', terms)
    const args = [1n, alice.address, bob.address, 9n, terms.deadline, signature] as const
    // Carol, who owns it now, trusts the contract too.
    await chain.write(carol, territories, 'setApprovalForAll', [permits.address, true])
    await assert.rejects(chain.write(bob, permits, 'permitApprove', args), /BadSignature/)
  })
})
