//! The HTML of the pages. All text that people typed goes through [`Text`].

use std::fmt::{self, Display};

use uuid::Uuid;

use crate::database::{Account, Mail, Standing};

/// Text that is escaped for HTML, between tags or in a quoted attribute.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => write!(f, "{other}"),
        })
    }
}

const STYLE: &str = "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem;color:#223}\
     label{display:block;margin:1rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.4rem}\
     button{font:inherit;padding:.4rem 1.2rem}.sorry{background:#fdecea;padding:.6rem 1rem;border-radius:.4rem}\
     li{margin:.6rem 0}";

/// Makes a page. With `again` the browser reloads it after some seconds.
fn page(title: &str, body: &dyn Display, again: bool) -> String {
    let again = if again { "<meta http-equiv=\"refresh\" content=\"3\">" } else { "" };
    let title = Text(title);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">{again}<style>{STYLE}</style>\
         <h1>{title}</h1>{body}</html>"
    )
}

/// The values in the form.
#[derive(Default)]
pub(crate) struct Form<'a> {
    pub(crate) owner: Uuid,
    pub(crate) username: &'a str,
    pub(crate) email: &'a str,
    pub(crate) display_name: &'a str,
}

impl Display for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, username, email, display_name } = self;
        let (username, email, display_name) = (Text(username), Text(email), Text(display_name));
        write!(
            f,
            "<form method=\"post\" action=\"/\"><input type=\"hidden\" name=\"owner\" value=\"{owner}\">\
             <label>User name <input name=\"username\" value=\"{username}\" required autofocus></label>\
             <label>E-mail address, if you like <input type=\"email\" name=\"email\" value=\"{email}\"></label>\
             <label>What others call you <input name=\"display_name\" value=\"{display_name}\" maxlength=\"100\"></label>\
             <button>Sign up</button></form>"
        )
    }
}

pub(crate) fn sign_up(form: &Form<'_>) -> String {
    page("Sign up", form, false)
}

/// The reason why a sign-up did not work, with names that are free.
pub(crate) struct Sorry<'a> {
    pub(crate) why: &'a str,
    pub(crate) alternatives: &'a [String],
}

impl Display for Sorry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<p class=\"sorry\">{}.", Text(self.why))?;
        for (index, name) in self.alternatives.iter().enumerate() {
            write!(f, "{} <b>{}</b>", if index == 0 { " Free are" } else { "," }, Text(name))?;
        }
        f.write_str("</p>")
    }
}

/// The form again, with the reason.
pub(crate) fn refused(sorry: &Sorry<'_>, form: &Form<'_>) -> String {
    page("Sign up", &format_args!("{sorry}{form}"), false)
}

pub(crate) fn welcome(owner: Uuid, display_name: &str, verify: bool) -> String {
    let more = if verify { "Please follow the link in the mail that we are sending you." } else { "You are all set." };
    let body = format_args!("<p>{more}</p><p><a href=\"/account/{owner}\">Your account</a></p>");
    page(&format!("Welcome, {display_name}"), &body, false)
}

pub(crate) fn we_will_tell_you(owner: Uuid, username: &str, by_mail: bool) -> String {
    let how = if by_mail { "by mail, and " } else { "" };
    let body = format_args!(
        "<p>It takes longer than usual to make sure that <b>{}</b> is yours. We will tell you {how}on \
         <a href=\"/account/{owner}\">this page</a>.</p>",
        Text(username)
    );
    page("Almost there", &body, false)
}

/// The page that a person sees after logging in.
pub(crate) fn account(account: &Account) -> String {
    let Account { sign_up, standing, notices } = account;
    let undecided = matches!(standing, Standing::Requested | Standing::Pending);
    let username = Text(&sign_up.username);
    let status = match standing {
        Standing::Requested | Standing::Pending => format!("We are still making sure that <b>{username}</b> is yours."),
        Standing::Reserved => format!("<b>{username}</b> is reserved for you until you follow the link in our mail."),
        Standing::Active => format!("<b>{username}</b> is yours."),
        Standing::Unavailable => format!("You did not get <b>{username}</b>. Please choose another name."),
        Standing::Ended => format!("<b>{username}</b> is no longer yours. Please choose a name."),
    };
    let notices: String = notices.iter().map(|mail| format!("<li>{}</li>", Text(&mail.body))).collect();
    let form = Form {
        owner: sign_up.owner,
        username: "",
        email: sign_up.email.as_deref().unwrap_or_default(),
        display_name: &sign_up.display_name,
    };
    let form =
        if matches!(standing, Standing::Unavailable | Standing::Ended) { form.to_string() } else { String::new() };
    let body = format_args!("<p data-standing=\"{}\">{status}</p><ul>{notices}</ul>{form}", standing.text());
    page(&format!("Hello, {}", sign_up.display_name), &body, undecided)
}

/// The page for the link in the mail. It has a button, because programs that scan mail follow links.
pub(crate) fn verify(secret: Uuid, email: &str) -> String {
    let email = Text(email);
    let form =
        format_args!("<form method=\"post\" action=\"/verify/{secret}\"><button>{email} is mine</button></form>");
    page("Verify your address", &form, false)
}

/// A page with one paragraph.
pub(crate) fn plain(title: &str, text: &str) -> String {
    page(title, &format_args!("<p>{}</p>", Text(text)), false)
}

pub(crate) fn outbox(mails: &[Mail]) -> String {
    let item = |mail: &Mail| {
        let (address, body) = (Text(mail.address.as_deref().unwrap_or_default()), Text(&mail.body));
        let link = mail.link.as_deref().unwrap_or_default();
        format!("<li>To {address}: {body} <a href=\"{}\">{0}</a></li>", Text(link))
    };
    let items: String = mails.iter().map(item).collect();
    page("Mail that would be sent", &format_args!("<ul>{items}</ul>"), false)
}
