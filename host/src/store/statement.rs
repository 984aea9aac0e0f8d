//! Which statements a component may send. The roles' rights are the wall; this is the sign in front of it, with a
//! message that says what to do, and it stops what no right covers (a session's settings, transactions).

const ALLOWED: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH"];

/// The message for the author of a statement that is not allowed.
pub fn refuse(statement: &str) -> Option<String> {
    let word = first_word(statement);
    if ALLOWED.iter().chain(["VALUES"].iter()).any(|allowed| word.eq_ignore_ascii_case(allowed)) {
        return None;
    }
    let word: String = word.chars().take(20).collect();
    let advice = match word.to_ascii_uppercase().as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "ABORT" => {
            "the transaction is the call's: return ok to commit, an error to roll back"
        }
        "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "GRANT" | "REVOKE" => "schema belongs into a migration",
        _ => "allowed are SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH",
    };
    Some(format!("{word:?} is not allowed in a call: {advice}"))
}

/// The first word behind white space, comments and opening brackets, as PostgreSQL reads them: what is taken for a comment here
/// and is none there would be sent unseen.
fn first_word(statement: &str) -> &str {
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '(');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once(['\n', '\r']).map_or("", |(_, behind)| behind);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = behind_comment(comment);
        } else {
            let end = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
            return rest.get(..end).unwrap_or_default();
        }
    }
}

/// What follows the end of a comment that has begun; comments stand in comments.
fn behind_comment(comment: &str) -> &str {
    let mut rest = comment;
    let mut depth = 1;
    while depth > 0 {
        let Some(mark) = rest.find(['/', '*']) else { return "" };
        rest = rest.get(mark..).unwrap_or_default();
        if let Some(inner) = rest.strip_prefix("/*") {
            (rest, depth) = (inner, depth + 1);
        } else if let Some(outer) = rest.strip_prefix("*/") {
            (rest, depth) = (outer, depth - 1);
        } else {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_data_statements_pass() {
        for statement in [
            "select 1",
            " (SELECT 1)",
            "-- a\n/* b */ with x as (select 1) select * from x",
            "/* a /* b **/ / * */ select 1",
            "--a\rselect 1",
            "values (1)",
        ] {
            assert_eq!(refuse(statement), None, "{statement}");
        }
    }

    #[test]
    fn says_what_to_do_instead() {
        for (statement, advice) in [
            ("commit", "transaction is the call's"),
            ("/**/SET role postgres", "allowed are"),
            ("/* /* */ select */ set role postgres", "allowed are"),
            ("--\rcommit /*\nselect */", "transaction is the call's"),
            ("/* select 1", "allowed are"),
            ("create table a ()", "migration"),
            ("COPY a TO PROGRAM 'sh'", "allowed are"),
            ("", "allowed are"),
            ("selectx", "allowed are"),
        ] {
            assert!(refuse(statement).unwrap().contains(advice), "{statement}");
        }
    }
}
