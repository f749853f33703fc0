import { ChainError } from '@cumulus/chain'
import type { Address } from '@cumulus/types'
import { accountSettings, formatTokens, openAccount } from '../chain-access.ts'
import { CliError, command, UsageError } from '../command.ts'

export const faucet = command({
  name: 'faucet',
  summary: 'Gives an account tokens of a development network, once an epoch.',
  positionals: 'ADDRESS',
  about: 'The fee is paid by the gateway of the local network, or by the account of --key-file.',
  settings: accountSettings,
  examples: ['cumulus faucet 0x52908400098527886e0f7030069857d2e4169ee7'],
  async run({ settings, positionals, signal }) {
    const [address] = positionals
    if (positionals.length !== 1 || !/^0x[0-9a-fA-F]{40}$/.test(address!)) throw new UsageError('name one address')
    const to = address!.toLowerCase() as Address
    const { params, chain } = await openAccount(settings, 'gateway', signal)
    if (params.name === 'mainnet') {
      throw new CliError(
        'NO_FAUCET',
        'the rules of mainnet have no faucet',
        'Say which rules the network has: --preset dev.',
      )
    }
    try {
      const { events } = await chain.send('Faucet', 'claim', [to], { signal })
      const { amount } = events.find(({ name }) => name === 'Claimed')!.args as { amount: bigint }
      if (settings.json) console.log(JSON.stringify({ to, amount: String(amount) }))
      else console.log(`${formatTokens(amount)} tokens to ${to}`)
      return 0
    } catch (error) {
      if (!(error instanceof ChainError) || error.code !== 'REVERTED') throw error
      throw new CliError('FAUCET_REFUSED', error.message, 'Each account is given tokens once an epoch.', {
        cause: error,
      })
    }
  },
})
