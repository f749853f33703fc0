import { bytesToHex } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { miners, registrationMessage } from '@cumulus/ledger'
import { Ed25519Key } from '@cumulus/signature'
import { alice, type ContractChain, type Person, TOKEN } from './contract-chain.ts'

export async function registerMiner(chain: ContractChain, person: Person, units: number): Promise<void> {
  const { stakePerUnit, chainId } = chain.params
  const value = BigInt(units) * stakePerUnit
  await chain.send(alice, { to: person.lower, value: value + 10n * TOKEN })
  const key = new Ed25519Key(keccak256(new TextEncoder().encode(person.lower)))
  const signature = bytesToHex(key.sign(registrationMessage(chainId, person.lower)))
  const address = '/ip4/127.0.0.1/tcp/1'
  const args = [bytesToHex(key.publicKey), address, person.lower, units, 'eu', signature] as const
  await chain.write(person, miners, 'register', args, { value })
}
