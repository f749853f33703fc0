import { fileURLToPath } from 'node:url'
import hardhatVerify from '@nomicfoundation/hardhat-verify'
import hardhatViem from '@nomicfoundation/hardhat-viem'
import { defineConfig } from 'hardhat/config'

/** A project as anybody has it; the compiler comes from npm, so nothing is downloaded. */
const url = process.env.CUMULUS_RPC ?? 'http://127.0.0.1:8545'
const out = process.env.CUMULUS_HARDHAT_OUT ?? '.'

export default defineConfig({
  plugins: [hardhatViem, hardhatVerify],
  solidity: {
    version: '0.8.37',
    path: fileURLToPath(import.meta.resolve('solc/soljson.js')),
    settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: 'prague' },
  },
  paths: { artifacts: `${out}/artifacts`, cache: `${out}/cache` },
  networks: {
    cumulus: {
      type: 'http',
      url,
      // Funded by the genesis of the tests.
      accounts: (process.env.CUMULUS_KEYS ?? '').split(',').filter(Boolean),
    },
  },
  chainDescriptors: {
    27103: {
      name: 'cumulus',
      blockExplorers: { etherscan: { name: 'cumulus', url, apiUrl: `${url}/api` } },
    },
  },
  verify: { etherscan: { apiKey: 'none-needed' } },
})
