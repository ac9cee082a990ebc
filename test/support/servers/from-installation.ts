import { randomBytes, randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import getPort from 'get-port'
import { commonArguments, dataTemplate } from './data-template.js'
import { GuardedProcess } from './guarded-process.js'
import type { Installation } from './installation.js'
import { waitForVersion } from './probe.js'
import { type Durability, type Server, settings } from './server.js'

/** Starts an installed or unpacked server on a free port, with its data in a temporary folder. */
export async function serverFromInstallation(
  installation: Installation,
  name: string,
  durability: Durability,
): Promise<Server> {
  const template = await dataTemplate(installation)
  const folder = join(tmpdir(), `goscope-server-${randomBytes(6).toString('hex')}`)
  const port = await freePort()
  const server = new GuardedProcess(folder, template, [
    ...installation.command,
    ...commonArguments(installation, join(folder, 'data')),
    ...(installation.family === 'mysql' ? ['--mysqlx=OFF', '--secure-file-priv='] : []),
    // Servers that share a folder for temporary files stumble over each other's.
    `--tmpdir=${join(folder, 'tmp')}`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    ...settings(durability),
  ])
  const url = `mysql://root@127.0.0.1:${port}`
  const start = async () => {
    await server.start()
    return waitForVersion(url, 60_000, () => server.isAlive()).catch(async (cause: unknown) => {
      const tail = (await readFile(join(folder, 'log'), 'utf8').catch(() => '')).split('\n').slice(-15).join('\n')
      await server.close()
      throw new Error(`${name} does not start:\n${tail}`, { cause })
    })
  }
  return {
    name,
    family: installation.family,
    version: await start(),
    url,
    stop: () => server.close(),
    restart: async (signal = 'SIGTERM') => {
      await server.end(signal)
      await start()
    },
  }
}

/** A port that no client's connection takes while its server restarts: systems give those higher ones. */
async function freePort(): Promise<number> {
  return getPort({ port: Array.from({ length: 20 }, () => randomInt(20_000, 30_000)) })
}
