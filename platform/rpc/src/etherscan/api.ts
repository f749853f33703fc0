import type { ChainView } from '../chain-view.ts'
import { address, hash } from '../decode.ts'
import type { Dispatcher } from '../dispatcher.ts'
import type { RpcMetrics } from '../metrics.ts'
import { RpcError } from '../rpc-error.ts'
import { proxyRequest } from './proxy.ts'
import type { Verifier } from './verifier.ts'

type Query = Readonly<Record<string, string>>

interface ApiComponents {
  readonly chain: ChainView
  readonly dispatcher: Dispatcher
  readonly metrics: RpcMetrics
  /** Absent on nodes that verify nothing. */
  readonly verifier: Verifier | undefined
}

/** Addresses in one `balancemulti`, as at Etherscan. */
const BALANCES_MAX = 20

const NO_INDEX = 'not offered by this node: it keeps no index of transactions by account'

/**
 * The part of Etherscan's API that tools of contract developers use. Answers are `{ status, message, result }`; an error
 * has status "0", message "NOTOK", and its words in `result`.
 */
export class EtherscanApi {
  readonly #chain: ChainView
  readonly #dispatcher: Dispatcher
  readonly #metrics: RpcMetrics
  readonly #verifier: Verifier | undefined
  readonly #actions: ReadonlyMap<string, (query: Query) => unknown>

  constructor({ chain, dispatcher, metrics, verifier }: ApiComponents) {
    this.#chain = chain
    this.#dispatcher = dispatcher
    this.#metrics = metrics
    this.#verifier = verifier
    const noIndex = () => {
      throw new ApiError(NO_INDEX)
    }
    this.#actions = new Map<string, (query: Query) => unknown>([
      ['contract/getabi', (query) => this.#abi(query)],
      ['contract/getsourcecode', (query) => this.#sourceCode(query)],
      ['contract/verifysourcecode', (query) => this.#verifySource(query)],
      ['contract/checkverifystatus', (query) => this.#verifyStatus(query)],
      ['contract/getcontractcreation', noIndex],
      ['account/balance', (query) => this.#balance(query['address']).toString()],
      ['account/balancemulti', (query) => this.#balances(query)],
      ['account/txlist', noIndex],
      ['account/txlistinternal', noIndex],
      ['account/tokentx', noIndex],
      ['account/tokennfttx', noIndex],
      ['transaction/getstatus', (query) => this.#status(query)],
      [
        'transaction/gettxreceiptstatus',
        (query) => ({ status: this.#receipt(query)?.ok ? '1' : this.#receipt(query) ? '0' : '' }),
      ],
      ['block/getblocknobytime', (query) => this.#blockByTime(query)],
    ])
  }

  /** Actions that are answered, by `module/action`; `proxy` has its own list. */
  get actions(): readonly string[] {
    return [...this.#actions.keys()]
  }

  /** JSON text. Never throws. */
  async answer(query: Query, signal: AbortSignal): Promise<string> {
    const name = `${query['module']}/${query['action']}`.toLowerCase()
    const isProxy = name.startsWith('proxy/')
    const action = this.#actions.get(name)
    const method = action ? `api/${name}` : isProxy ? 'api/proxy' : 'api/unknown'
    try {
      if (isProxy) {
        const request = proxyRequest(query)
        if (!request) throw new ApiError('Error! Missing Or invalid Action name')
        this.#metrics.requests.inc({ method, outcome: 'ok' })
        return (await this.#dispatcher.answer(Buffer.from(JSON.stringify(request)), { signal }))!
      }
      if (!action) throw new ApiError('Error! Missing Or invalid Action name')
      const result = await action(query)
      this.#metrics.requests.inc({ method, outcome: 'ok' })
      return JSON.stringify({ status: '1', message: 'OK', result })
    } catch (error) {
      this.#metrics.requests.inc({ method, outcome: 'error' })
      if (!(error instanceof ApiError) && !(error instanceof RpcError)) throw error
      return JSON.stringify({ status: '0', message: 'NOTOK', result: error.message })
    }
  }

  #contract(query: Query) {
    const of = address(query['address'] ?? query['contractaddress'], 'address')
    return { address: of, code: this.#chain.state('latest')!.code(of) }
  }

  async #abi(query: Query): Promise<string> {
    const { address: of, code } = this.#contract(query)
    const source = await this.#requireVerifier().verified(of, code)
    if (!source) throw new ApiError('Contract source code not verified')
    return JSON.stringify(source.abi)
  }

  async #sourceCode(query: Query): Promise<object[]> {
    const { address: of, code } = this.#contract(query)
    const source = await this.#verifier?.verified(of, code)
    if (!source) {
      return [{ SourceCode: '', ABI: 'Contract source code not verified', ContractName: '', CompilerVersion: '' }]
    }
    const { settings = {} } = JSON.parse(source.input) as {
      settings?: { optimizer?: { enabled?: boolean; runs?: number }; evmVersion?: string }
    }
    return [
      {
        // Standard JSON stands in a second pair of braces.
        SourceCode: `{${source.input}}`,
        ABI: JSON.stringify(source.abi),
        ContractName: source.contractName.split(':').at(-1),
        ContractFileName: source.contractName.split(':')[0],
        CompilerVersion: source.compilerVersion,
        OptimizationUsed: settings.optimizer?.enabled ? '1' : '0',
        Runs: String(settings.optimizer?.runs ?? 200),
        ConstructorArguments: source.constructorArguments,
        EVMVersion: settings.evmVersion ?? 'Default',
        Library: '',
        LicenseType: '',
        Proxy: '0',
        Implementation: '',
        SwarmSource: '',
        SimilarMatch: '',
        MatchType: source.isExact ? 'exact' : 'partial',
      },
    ]
  }

  async #verifySource(query: Query): Promise<string> {
    const verifier = this.#requireVerifier()
    const { address: of, code } = this.#contract({ address: query['contractaddress'] ?? '' })
    if (code.length === 0) throw new ApiError(`Unable to locate ContractCode at ${of}`)
    const before = await verifier.verified(of, code)
    if (before?.isExact) throw new ApiError('Contract source code already verified')
    if (!verifier.sources.hasRoomFor(of)) throw new ApiError('this node keeps no further sources')
    const format = query['codeformat'] ?? 'solidity-single-file'
    if (format !== 'solidity-standard-json-input' && format !== 'solidity-single-file') {
      throw new ApiError(`codeformat ${format.slice(0, 40)} is not supported: send solidity-standard-json-input`)
    }
    const source = query['sourceCode'] ?? query['sourcecode'] ?? ''
    const id = verifier.begin({
      address: of,
      code,
      contractName: query['contractname'] ?? '',
      compilerVersion: query['compilerversion'] ?? '',
      input: format === 'solidity-single-file' ? singleFileInput(query, source) : source,
      // Misspelt so in Etherscan's API.
      constructorArguments: query['constructorArguements'] ?? query['constructorArguments'] ?? '',
    })
    if (id === undefined) throw new ApiError('Max rate limit reached: too many verifications wait, try again')
    return id
  }

  #verifyStatus(query: Query): string {
    const state = this.#requireVerifier().state(query['guid'] ?? '')
    if (!state) throw new ApiError('Unknown UID')
    if (state.kind === 'waiting') throw new ApiError('Pending in queue')
    if (state.kind === 'failed') throw new ApiError(`Fail - Unable to verify. ${state.reason}`)
    return 'Pass - Verified'
  }

  #requireVerifier(): Verifier {
    if (this.#verifier) return this.#verifier
    throw new ApiError('not offered by this node: it verifies no sources')
  }

  #balance(of: string | undefined): bigint {
    return this.#chain.state('latest')!.balance(address(of, 'address'))
  }

  #balances(query: Query): object[] {
    const addresses = (query['address'] ?? '').split(',')
    if (addresses.length > BALANCES_MAX) throw new ApiError(`at most ${BALANCES_MAX} addresses are taken`)
    return addresses.map((account) => ({ account, balance: this.#balance(account).toString() }))
  }

  #receipt(query: Query) {
    const place = this.#chain.place(hash(query['txhash'], 'txhash'))
    return place && this.#chain.receipts(place.blockNumber)?.[place.index]
  }

  #status(query: Query): object {
    const receipt = this.#receipt(query)
    if (!receipt) throw new ApiError('there is no such transaction (yet)')
    // What it returned is not kept; a trace of it has that.
    return { isError: receipt.ok ? '0' : '1', errDescription: receipt.ok ? '' : 'execution reverted' }
  }

  /** The last block not after a time, or the first not before it: block times never go back, so by halving. */
  #blockByTime(query: Query): string {
    const { timestamp, closest = 'before' } = query
    if (!/^\d{1,12}$/.test(timestamp ?? '')) throw new ApiError('timestamp must be a number of seconds')
    if (closest !== 'before' && closest !== 'after') throw new ApiError('closest must be before or after')
    const wanted = BigInt(timestamp!)
    const head = this.#chain.head().number
    // What lies before a snapshot was never here: as if the chain began with it.
    const oldest = this.#chain.oldestNumber()
    let [low, high] = [oldest, head + 1n]
    // The first block that is later than wanted (or not before it) lies in low..high.
    while (low < high) {
      const middle = (low + high) / 2n
      const time = this.#chain.header(middle)!.timestamp
      if (closest === 'before' ? time > wanted : time >= wanted) high = middle
      else low = middle + 1n
    }
    const found = closest === 'before' ? low - 1n : low
    if (found < oldest || found > head) throw new ApiError('Error! No closest block found')
    return found.toString()
  }
}

class ApiError extends Error {}

/** Standard JSON of one flat file and the fields that go with it. */
function singleFileInput(query: Query, source: string): string {
  const evmVersion = query['evmversion']?.toLowerCase()
  return JSON.stringify({
    language: 'Solidity',
    sources: { 'Contract.sol': { content: source } },
    settings: {
      optimizer: { enabled: query['optimizationUsed'] === '1', runs: Number(query['runs'] ?? 200) },
      ...(evmVersion && evmVersion !== 'default' && { evmVersion }),
    },
  })
}
