import { execFile } from 'node:child_process'
import { access, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A server's program and the files it needs to set up its data. */
export interface Installation {
  /** The program, preceded by its own loader where it brings one. */
  readonly command: readonly string[]
  readonly family: 'mysql' | 'mariadb'
  readonly version: string
  /** Arguments that tell the program where its files are. */
  readonly locations: readonly string[]
  /** MariaDB only: the SQL that creates the system tables. */
  readonly systemTables: readonly string[]
  /** Where it was found, for people. */
  readonly origin: string
}

/** The servers installed on this machine, in the usual places. */
export async function installedServers(): Promise<Installation[]> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/libexec']
  const found: Installation[] = []
  for (const program of ['mariadbd', 'mysqld']) {
    for (const folder of new Set(folders)) {
      const path = join(folder, program)
      if (!(await exists(path))) continue
      const installation = await inspect([path], ['/usr/share/mariadb', '/usr/share/mysql'], [], path)
      if (found.every((other) => other.version !== installation.version)) found.push(installation)
    }
  }
  return found
}

/** A server unpacked into a folder, which runs on the libraries and the loader unpacked beside it. */
export async function unpackedServer(root: string, origin: string): Promise<Installation> {
  const triplet = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  const libraries = [join(root, 'lib', triplet), join(root, 'usr/lib', triplet)]
  const loader = await firstMatching(libraries, /^ld-(linux.*\.so\.\d+|\d.*\.so)$/)
  const program = await firstMatching([join(root, 'usr/sbin')], /^(mariadbd|mysqld)$/)
  const shares = [join(root, 'usr/share/mariadb'), join(root, 'usr/share/mysql')]
  const share = (await Promise.all(shares.map(exists)))[0] ? shares[0] : shares[1]
  return inspect(
    [loader, '--library-path', libraries.join(':'), program],
    shares,
    [`--basedir=${join(root, 'usr')}`, `--lc-messages-dir=${share}`],
    origin,
  )
}

async function inspect(
  command: readonly string[],
  shares: readonly string[],
  locations: readonly string[],
  origin: string,
): Promise<Installation> {
  const [program = '', ...rest] = command
  const { stdout } = await run(program, [...rest, '--no-defaults', '--version'])
  const version = /Ver (\S+)/.exec(stdout)?.[1]
  if (version === undefined) throw new Error(`${origin} does not tell its version: ${stdout}`)
  const family = /mariadb/i.test(stdout) ? 'mariadb' : 'mysql'
  return {
    command,
    family,
    version,
    locations,
    origin,
    systemTables: family === 'mysql' ? [] : await systemTables(shares),
  }
}

async function systemTables(shares: readonly string[]): Promise<string[]> {
  return Promise.all([
    firstMatching(shares, /^(mariadb|mysql)_system_tables\.sql$/),
    firstMatching(shares, /^(mariadb|mysql)_system_tables_data\.sql$/),
  ])
}

async function firstMatching(folders: readonly string[], name: RegExp): Promise<string> {
  for (const folder of folders) {
    const names = (await exists(folder)) ? await readdir(folder) : []
    const found = names.filter((candidate) => name.test(candidate)).sort()[0]
    if (found !== undefined) return join(folder, found)
  }
  throw new Error(`expected ${name} in ${folders.join(' or ')}, found nothing`)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
