//! The program that a container starts with, and where Windows would look for it in the image.

use serde_json::Value;

use crate::image::Config;
use crate::image::document::field;
use crate::layer::FoldedPath;

/// What an image's config says about how it is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The program, or what the entrypoint is given.
    pub cmd: Vec<String>,
    /// Variables as `NAME=value`.
    pub env: Vec<String>,
    /// The directory in which the program starts.
    pub working_directory: String,
}

/// A program that a container starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Which setting names it: `Entrypoint` or `Cmd`.
    pub setting: &'static str,
    /// How the setting names it.
    pub text: String,
    /// Whether a shell starts it; its own commands have no files.
    pub by_shell: bool,
    /// The folded in-tar names of the files that it may be, in the order in which Windows looks for them; nothing if it is not
    /// known where that is.
    pub candidates: Vec<String>,
}

/// Where Windows looks for a program that is named without a directory, before `PATH`.
const SYSTEM_DIRECTORIES: [&str; 3] = [r"C:\Windows\System32", r"C:\Windows\System", r"C:\Windows"];

/// `PATH` where the config has none.
const DEFAULT_PATH: &str =
    r"C:\Windows\system32;C:\Windows;C:\Windows\System32\Wbem;C:\Windows\System32\WindowsPowerShell\v1.0";

/// What may be appended to the name of a program.
const DEFAULT_EXTENSIONS: &str = ".COM;.EXE;.BAT;.CMD";

/// Variables that Windows sets itself.
const DEFAULT_VARIABLES: [(&str, &str); 6] = [
    ("SystemRoot", r"C:\Windows"),
    ("windir", r"C:\Windows"),
    ("SystemDrive", "C:"),
    ("ProgramFiles", r"C:\Program Files"),
    ("ProgramData", r"C:\ProgramData"),
    ("ComSpec", r"C:\Windows\System32\cmd.exe"),
];

/// The most directories that are looked through, and the most ways in which a command line is cut at its blanks.
const MOST: usize = 64;

impl Start {
    /// What a config says.
    pub fn of(config: &Config) -> Start {
        let run = field(config.document.value(), "config");
        let list = |name| -> Vec<String> {
            let values = run.and_then(|run| field(run, name)).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let directory = run.and_then(|run| field(run, "WorkingDir")).and_then(Value::as_str).unwrap_or_default();
        Start {
            entrypoint: list("Entrypoint"),
            cmd: list("Cmd"),
            env: list("Env"),
            working_directory: directory.to_owned(),
        }
    }

    /// The programs that a container starts: the first one, and what it is to start if it is `cmd /C`.
    pub fn programs(&self) -> Vec<Program> {
        let (setting, words) = match (&self.entrypoint[..], &self.cmd[..]) {
            ([], []) => return Vec::new(),
            ([], cmd) => ("Cmd", cmd.to_vec()),
            (entrypoint, cmd) => ("Entrypoint", [entrypoint, cmd].concat()),
        };
        // The shell form is one command line.
        let is_line = words.len() == 1;
        let texts = if is_line { beginnings(&words[0]) } else { vec![unquoted(&words[0]).to_owned()] };
        let mut programs = vec![self.program(setting, &texts, false)];
        if is_cmd(&texts[0]) {
            let rest = match is_line {
                true => {
                    words[0].trim_start().get(texts[0].len()..).unwrap_or_default().trim_matches(['"', ' ']).to_owned()
                }
                false => words[1..].join(" "),
            };
            programs.extend(of_shell(&rest).map(|line| self.program(setting, &beginnings(line), true)));
        }
        programs
    }

    fn program(&self, setting: &'static str, texts: &[String], by_shell: bool) -> Program {
        let mut candidates = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            match self.candidates(text) {
                Some(more) => candidates.extend(more),
                // Whether it is there cannot be told.
                None if number == 0 => break,
                // So much of a command line is no path.
                None => {}
            }
        }
        Program { setting, text: texts[0].clone(), by_shell, candidates }
    }

    /// The names that a text may mean; nothing if it lies outside the image or depends on what is not known.
    fn candidates(&self, text: &str) -> Option<Vec<String>> {
        let text = self.expand(text)?.replace('/', "\\");
        if text.is_empty() {
            return None;
        }
        let directories = match () {
            () if text.starts_with("\\\\") => return None,
            () if text.contains(':') || text.starts_with('\\') => vec![String::new()],
            () if text.contains('\\') => vec![self.working_directory()?],
            () => {
                let path = self.variable("Path").unwrap_or_else(|| DEFAULT_PATH.to_owned());
                let path = path.split(';').filter(|part| !part.is_empty()).take(MOST);
                let path = path.map(|part| self.expand(unquoted(part))).collect::<Option<Vec<_>>>()?;
                let system = SYSTEM_DIRECTORIES.map(str::to_owned);
                [self.working_directory()?].into_iter().chain(system).chain(path).collect()
            }
        };
        let extensions = self.variable("PathExt").unwrap_or_else(|| DEFAULT_EXTENSIONS.to_owned());
        let extensions: Vec<&str> = std::iter::once("").chain(extensions.split(';').take(MOST)).collect();
        let mut names = Vec::new();
        for directory in directories {
            let path = if directory.is_empty() { text.clone() } else { format!("{directory}\\{text}") };
            for extension in &extensions {
                names.extend(in_tar(&format!("{path}{extension}")));
            }
        }
        // Every place is on another drive.
        (!names.is_empty()).then_some(names)
    }

    fn working_directory(&self) -> Option<String> {
        match self.working_directory.as_str() {
            "" => Some("C:".to_owned()),
            directory => self.expand(directory).map(|directory| directory.replace('/', "\\")),
        }
    }

    fn variable(&self, wanted: &str) -> Option<String> {
        let set = self.env.iter().rev().filter_map(|line| line.split_once('='));
        let known = DEFAULT_VARIABLES.into_iter();
        let mut all = set.chain(known);
        all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
    }

    /// Puts the values of variables in the place of `%NAME%`; nothing if one is not known.
    fn expand(&self, text: &str) -> Option<String> {
        let mut parts = text.split('%');
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        while let Some(name) = parts.next() {
            match parts.next() {
                Some(after) => {
                    expanded.push_str(&self.variable(name)?);
                    expanded.push_str(after);
                }
                None => {
                    expanded.push('%');
                    expanded.push_str(name);
                }
            }
        }
        Some(expanded)
    }
}

/// The folded in-tar name of a path on `C:`.
fn in_tar(path: &str) -> Option<String> {
    let path = match path.split_once(':') {
        Some((drive, rest)) if drive.eq_ignore_ascii_case("C") => rest,
        Some(_) => return None,
        None => path,
    };
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('\\') {
        match component.trim_end_matches([' ', '.']) {
            "" if component == ".." => drop(components.pop()),
            "" => {}
            component => components.push(component),
        }
    }
    Some(FoldedPath::new(&format!("Files/{}", components.join("/"))).as_str().to_owned())
}

/// The texts that the program of a command line may be. Without quotes Windows tries to end it at each blank in turn.
fn beginnings(line: &str) -> Vec<String> {
    let line = line.trim_start();
    if let Some(quoted) = line.strip_prefix('"') {
        return vec![quoted.split('"').next().unwrap_or_default().to_owned()];
    }
    let ends = line.match_indices([' ', '\t']).map(|(end, _)| end).take(MOST).chain([line.len()]);
    let mut texts: Vec<String> = ends.map(|end| line[..end].trim_end().to_owned()).collect();
    texts.dedup();
    texts
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"')
}

/// Whether a program is the command interpreter.
fn is_cmd(text: &str) -> bool {
    let name = text.rsplit(['/', '\\']).next().unwrap_or(text);
    name.eq_ignore_ascii_case("cmd") || name.eq_ignore_ascii_case("cmd.exe") || text.eq_ignore_ascii_case("%ComSpec%")
}

/// The command line behind `/C` or `/K`, if there is one.
fn of_shell(arguments: &str) -> Option<&str> {
    let lower = arguments.to_ascii_lowercase();
    let at = ["/c", "/k"].iter().filter_map(|option| lower.find(option)).min()?;
    let line = arguments[at + 2..].trim();
    // `/S` takes one pair of quotes off.
    let line = match line.strip_prefix("\"\"") {
        Some(_) => &line[1..],
        None => line,
    };
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(entrypoint: &[&str], cmd: &[&str], env: &[&str]) -> Start {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Start {
            entrypoint: texts(entrypoint),
            cmd: texts(cmd),
            env: texts(env),
            working_directory: r"C:\app".to_owned(),
        }
    }

    fn finds(start: &Start, name: &str) -> Vec<bool> {
        start.programs().iter().map(|program| program.candidates.iter().any(|known| known == name)).collect()
    }

    #[test]
    fn programs_are_looked_for_where_windows_does() {
        for (entrypoint, cmd, env, file) in [
            (&[][..], &[r"c:\windows\system32\cmd.exe"][..], &[][..], "FILES/WINDOWS/SYSTEM32/CMD.EXE"),
            (&[], &["cmd"], &[], "FILES/WINDOWS/SYSTEM32/CMD.EXE"),
            (&["server"], &["--port", "1"], &[], "FILES/APP/SERVER.EXE"),
            (&[r"bin\server.exe"], &[], &[], "FILES/APP/BIN/SERVER.EXE"),
            (&[r"..\x\server.exe"], &[], &[], "FILES/X/SERVER.EXE"),
            (&["C:/tools/run"], &[], &[], "FILES/TOOLS/RUN.CMD"),
            (&["tool"], &[], &[r"PATH=C:\a;D:\b;C:\tools\"], "FILES/TOOLS/TOOL.EXE"),
            (&["tool"], &[], &[r"path=%ProgramFiles%\t"], "FILES/PROGRAM FILES/T/TOOL.BAT"),
            (&["script"], &[], &["PATHEXT=.PS1"], "FILES/APP/SCRIPT.PS1"),
            (&[r"%HOME%\run.exe", "x"], &[], &[r"home=C:\me"], "FILES/ME/RUN.EXE"),
            (&[r#""C:\Program Files\x y.exe" --flag"#], &[], &[], "FILES/PROGRAM FILES/X Y.EXE"),
            (&[r"C:\Program Files\x.exe --flag"], &[], &[], "FILES/PROGRAM FILES/X.EXE"),
        ] {
            let start = start(entrypoint, cmd, env);
            assert!(finds(&start, file)[0], "{start:?}: {:?}", start.programs());
        }
    }

    #[test]
    fn what_the_shell_starts_is_a_program_too() {
        for cmd in [
            &["cmd", "/S", "/C", r"C:\app\run.bat now"][..],
            &[r"cmd /S /C C:\app\run.bat now"],
            &[r#"C:\Windows\System32\cmd.exe /s /c ""C:\app\run.bat" now""#],
            &["cmd.exe /c run"],
        ] {
            let start = start(&[], cmd, &[]);
            assert_eq!(finds(&start, "FILES/APP/RUN.BAT"), [false, true], "{cmd:?}: {:?}", start.programs());
            assert!(finds(&start, "FILES/WINDOWS/SYSTEM32/CMD.EXE")[0], "{cmd:?}");
        }
    }

    #[test]
    fn what_lies_elsewhere_is_not_judged() {
        for text in [r"D:\x.exe", r"\\server\x.exe", r"%UNKNOWN%\x.exe", ""] {
            let programs = start(&[text, ""], &[], &[]).programs();
            assert!(programs[0].candidates.is_empty(), "{programs:?}");
        }
        assert_eq!(start(&[], &[], &[]).programs(), []);
        // No text makes it panic.
        for text in ["\"", "%", "/c", "cmd /c", "cmd /C \"", "é/C é", " ", "cmd\u{a0}/c x"] {
            start(&[text], &[text], &[text]).programs();
            start(&["cmd", text], &[], &[]).programs();
        }
    }
}
