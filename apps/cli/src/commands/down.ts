import { command } from '../command.ts'
import { NetworkFolder } from '../network-folder.ts'
import { isRunning, stopProcesses } from '../processes.ts'
import { networkSettings } from './settings.ts'

export const down = command({
  name: 'down',
  summary: 'Stops the local network. Data stays; "cumulus up" goes on with it.',
  settings: {
    ...networkSettings,
    grace: {
      kind: 'number',
      help: 'seconds to finish work before processes are killed',
      default: 20,
      min: 0,
      max: 600,
    },
  },
  async run({ settings }) {
    const folder = new NetworkFolder(settings.dir)
    const processes = await folder.readProcesses()
    const running = processes.filter((entry) => isRunning(entry))
    // Those who write first: the gateway wants its miners and its chain until it is done.
    const gateways = running.filter((entry) => entry.role === 'gateway')
    const others = running.filter((entry) => entry.role !== 'gateway')
    const killed = [
      ...(await stopProcesses(gateways, { graceMs: settings.grace * 1000 })),
      ...(await stopProcesses(others, { graceMs: settings.grace * 1000 })),
    ]
    if (settings.json) console.log(JSON.stringify({ stopped: running.map((entry) => entry.name), killed }))
    else if (running.length === 0) console.log('Nothing was running.')
    else
      console.log(
        `Stopped ${running.length} processes${killed.length > 0 ? `; had to kill ${killed.join(', ')}` : ''}. Data stays in ${folder.path}.`,
      )
    return 0
  },
})
