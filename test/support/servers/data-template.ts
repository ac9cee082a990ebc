import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { withCachedFolder } from './cache.js'
import type { GuardedFolder } from './guarded-folder.js'
import type { Installation } from './installation.js'
import { timeZoneStatements } from './time-zones.js'

/** Uses the data of a fresh server, which is to be copied: setting it up takes much longer. */
export async function withDataTemplate<T>(
  installation: Installation,
  use: (template: string) => Promise<T>,
): Promise<T> {
  const tables = await Promise.all(installation.systemTables.map((file) => readFile(file, 'utf8')))
  const script = [...tables, 'use mysql;', timeZoneStatements()].join('\n')
  const digest = createHash('sha256').update(script).digest('hex').slice(0, 8)
  return withCachedFolder(
    `data-${installation.family}-${installation.version}-${digest}`,
    installation.family === 'mysql'
      ? (data, workshop) => setUpMySQL(installation, script, data, workshop)
      : (data, workshop) => setUpMariaDB(installation, script, data, workshop),
    use,
  )
}

/** The arguments that every call of the server's program needs. */
export function commonArguments(installation: Installation, data: string, temporary: string): string[] {
  return [
    '--no-defaults',
    ...installation.locations,
    `--datadir=${data}`,
    `--tmpdir=${temporary}`,
    // The servers refuse to run as root unless they are told to.
    ...(userInfo().uid === 0 ? ['--user=root'] : []),
  ]
}

async function setUpMySQL(
  installation: Installation,
  script: string,
  data: string,
  workshop: GuardedFolder,
): Promise<void> {
  const file = join(workshop.path, 'script.sql')
  // Statements of this file end with their lines.
  await writeFile(file, script.replaceAll(/\n\s+/g, ' '))
  await workshop.run([
    ...installation.command,
    ...commonArguments(installation, data, workshop.path),
    '--initialize-insecure',
    `--init-file=${file}`,
  ])
  // The server's identity, which a copy must not share; a server makes one where there is none.
  await rm(join(data, 'auto.cnf'))
}

async function setUpMariaDB(
  installation: Installation,
  script: string,
  data: string,
  workshop: GuardedFolder,
): Promise<void> {
  await mkdir(join(data, 'mysql'))
  // Without the variable, version 10.5 lets root in through the socket only.
  const prologue = 'create database if not exists mysql;\nuse mysql;\nset @auth_root_socket=null;\n'
  await workshop.run(
    [...installation.command, ...commonArguments(installation, data, workshop.path), '--bootstrap'],
    prologue + script,
  )
}
